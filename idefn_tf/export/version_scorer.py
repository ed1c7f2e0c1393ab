"""VersionScorer: what a SavedModel and an ONNX version are scored by alike, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

Arrays = dict[str, np.ndarray]
#: The signature that plain requests go to.
DEFAULT = "serving_default"


class VersionScorer:
    """Base of what runs the signatures of a published version; a context manager.

    A subclass opens the version and writes `inputs`, `run` and `close`.
    """

    path: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of what the version holds."""
        raise NotImplementedError

    def inputs(self, signature: str = DEFAULT) -> Iterable[str]:
        """Returns the names of a signature's inputs."""
        raise NotImplementedError

    def run(self, inputs: Mapping[str, Any], signature: str = DEFAULT) -> Arrays:
        """Runs a signature on one batch."""
        raise NotImplementedError

    def score(
        self, arrays: Mapping[str, np.ndarray], batch_size: int = 1024, signature: str = DEFAULT
    ) -> Arrays:
        """Runs a signature on any number of rows; what it does not take is left out."""
        wanted = {n: np.asarray(arrays[n]) for n in self.inputs(signature) if n in arrays}
        rows = len(next(iter(wanted.values())))
        parts = [
            self.run({n: values[at : at + batch_size] for n, values in wanted.items()}, signature)
            for at in range(0, max(rows, 1), batch_size)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _among(self, signature: str, known: Mapping[str, Any]) -> Any:
        if signature not in known:
            named = sorted(name for name in known if not name.startswith("__"))  # TensorFlow's own
            raise ValueError(f"signature: {self.path} has none called {signature!r}, only {named}")
        return known[signature]
