"""An ONNX version asked in this process, as a server would be: without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
from serving.common.connection import InvalidRequestError

#: How the address of a version begins.
SCHEME = "onnx:"
_SCHEMA = Path("assets.extra") / "schema.yaml"


class Onnx:
    """A version's sessions.

    Args:
        path: its model.onnx, or its folder.

    Raises:
        ImportError: with the cure, where onnxruntime is absent.
        ValueError: if it is no ONNX version, or a file is not what its card says.
    """

    def __init__(self, path: str) -> None:
        self._scorer = OnnxScorer(path)
        #: The schema that the version was exported with, where it is there.
        self.schema = found if (found := self._scorer.path / _SCHEMA).is_file() else None

    def takes(self, signature: str) -> set[str]:
        """Returns the names of a signature's inputs."""
        return set(self._scorer.inputs(signature))

    def predict(
        self,
        inputs: Mapping[str, tuple[str, Any]],
        model: str,
        signature: str,
        version: int | None = None,
        label: str | None = None,
    ) -> dict[str, list[Any]]:
        """Runs a signature; there is one model, and one version of it.

        Args:
            inputs: by name, dtype and column.
            model: whatever it is called.
            signature: the signature's name.
            version: none can be chosen.
            label: none can be chosen.

        Returns:
            By output name, a list.

        Raises:
            InvalidRequestError: if the graph does not take the inputs.
        """
        if version is not None or label is not None:
            raise ValueError(
                f"version, label: must be left out beside an ONNX file, received {version} and "
                f"{label!r}; name the version's file"
            )
        arrays = {
            name: np.asarray(values, object if dtype == "string" else dtype)
            for name, (dtype, values) in inputs.items()
        }
        try:
            found = self._scorer.run(arrays, signature)
        except ValueError as error:
            raise InvalidRequestError(str(error), 400) from None
        return {name: values.tolist() for name, values in found.items()}

    def close(self) -> None:
        """Lets go of the sessions."""
        self._scorer.close()


def rows_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the rows of a REST body: those of "instances", or of the columns of "inputs".

    Raises:
        ValueError: if it holds neither, or columns of several lengths.
    """
    if isinstance(body.get("instances"), list):
        return list(body["instances"])
    columns = body.get("inputs")
    if not isinstance(columns, Mapping) or not all(isinstance(v, list) for v in columns.values()):
        raise ValueError(
            f'body: must hold rows in "instances" or columns in "inputs", received {body!s:.200}'
        )
    counts = {name: len(values) for name, values in columns.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"inputs: must have one number of rows, received {counts}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
