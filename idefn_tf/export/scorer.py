"""A published version run as TensorFlow Serving runs it: in a Session, by signature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.export.version_scorer import DEFAULT, Arrays, VersionScorer
from idefn_tf.features.column_lowering import quiet_deprecations


@register("class")
class Scorer(VersionScorer):
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

    def close(self) -> None:
        """Ends the Session."""
        self._session.close()

    def inputs(self, signature: str = DEFAULT) -> dict[str, tf.DType]:
        """Returns a signature's inputs and their types."""
        found = self._find(signature).inputs
        return {name: tf.as_dtype(info.dtype) for name, info in sorted(found.items())}

    def outputs(self, signature: str = DEFAULT) -> tuple[str, ...]:
        """Returns the names of a signature's outputs."""
        return tuple(sorted(self._find(signature).outputs))

    def run(self, inputs: Mapping[str, Any], signature: str = DEFAULT) -> Arrays:
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

    def _find(self, signature: str) -> Any:
        return self._among(signature, self.signatures)
