"""A published version run as TensorFlow Serving runs it: in a Session, by signature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.features.column_lowering import quiet_deprecations

Arrays = dict[str, np.ndarray]


@register("class")
class Scorer:
    """Runs the signatures of a SavedModel, without the library's own code.

    Use it as a context manager; it holds a Session.

    Args:
        path: the version's folder.

    Raises:
        ValueError: if the folder is no SavedModel.

    Example:
        >>> from idefn_tf.export import Scorer, export_model
        >>> from idefn_tf.models import AllNegative
        >>> version = export_model(AllNegative(features, MLP((4,))), schema, "models/cvr")
        >>> with Scorer(version) as scorer:
        ...     scores = scorer.run({"user": [1, 2], "item": [3, 0], "price": [1.0, 2.0]})
        >>> sorted(scores), scores["cvr"].shape
        (['ctcvr', 'ctr', 'cvr'], (2,))
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / "saved_model.pb").is_file():
            raise ValueError(f"path: {path} must be a version's folder with saved_model.pb")
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default(), quiet_deprecations():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(path))
        self.signatures: Mapping[str, Any] = dict(loaded.signature_def)

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the Session."""
        self._session.close()

    def inputs(self, signature: str = "serving_default") -> dict[str, tf.DType]:
        """Returns a signature's inputs and their types."""
        found = self._find(signature).inputs
        return {name: tf.as_dtype(info.dtype) for name, info in sorted(found.items())}

    def outputs(self, signature: str = "serving_default") -> tuple[str, ...]:
        """Returns the names of a signature's outputs."""
        return tuple(sorted(self._find(signature).outputs))

    def run(self, inputs: Mapping[str, Any], signature: str = "serving_default") -> Arrays:
        """Runs a signature on one batch.

        Args:
            inputs: by name, arrays or lists.
            signature: which one.

        Returns:
            By output name, arrays.

        Raises:
            ValueError: if the signature is unknown or an input is missing.
        """
        found = self._find(signature)
        missing = sorted(set(found.inputs) - set(inputs))
        if missing:
            raise ValueError(f"inputs: {missing} are missing; {signature} takes all of them")
        feed = {info.name: inputs[name] for name, info in found.inputs.items()}
        fetch = {name: info.name for name, info in found.outputs.items()}
        result: Arrays = self._session.run(fetch, feed)
        return result

    def score(
        self,
        arrays: Mapping[str, np.ndarray],
        batch_size: int = 1024,
        signature: str = "serving_default",
    ) -> Arrays:
        """Runs a signature on any number of rows; what it does not take is left out."""
        names = self.inputs(signature)
        wanted = {name: np.asarray(arrays[name]) for name in names if name in arrays}
        rows = len(next(iter(wanted.values())))
        parts = [
            self.run({n: values[at : at + batch_size] for n, values in wanted.items()}, signature)
            for at in range(0, max(rows, 1), batch_size)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _find(self, signature: str) -> Any:
        if signature not in self.signatures:
            raise ValueError(
                f"signature: {self.path} has none called {signature!r}, only "
                f"{sorted(self.signatures)}"
            )
        return self.signatures[signature]
