"""A published ONNX version run by ONNX Runtime, by signature, without TensorFlow.

A version is a folder::

    model.onnx                    serving_default
    model.onnx.data               its tables, where they are larger than a file of one part holds
    with_history.onnx             serving_with_history, where a snapshot of history is inside
    assets.extra/                 card, schema, warm-up requests

Without a snapshot ``model.onnx`` answers both signatures of a model that takes history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from idefn_tf._files import read_json
from idefn_tf.export.onnx.packages import runtime
from idefn_tf.export.version_scorer import DEFAULT, Arrays, VersionScorer

#: The files of a version by what they hold.
MODEL, HISTORY_MODEL, DATA_ENDING = "model.onnx", "with_history.onnx", ".data"
_CARD = Path("assets.extra") / "model_card.json"
#: The entry of a graph's metadata that names the signatures it answers.
SIGNATURES = "signatures"
_KINDS = {"tensor(int64)": "int64", "tensor(float)": "float32", "tensor(string)": "string"}


class OnnxInput(NamedTuple):
    """The type of an input and its shape, -1 for rows."""

    name: str
    shape: tuple[int, ...]


class OnnxScorer(VersionScorer):
    """Runs the signatures of an ONNX version.

    Use it as a context manager, or close it.

    Args:
        path: the version's folder, or its model.onnx.
        threads: of one run; 0 leaves it to ONNX Runtime.

    Raises:
        ImportError: if onnxruntime is missing.
        ValueError: if the folder is no ONNX version, or a file is not what the card says.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        given = Path(path)
        self.path = given.parent if given.suffix == ".onnx" else given
        if not (self.path / MODEL).is_file():
            raise ValueError(f"path: {path} must be a version's folder with {MODEL}, or that file")
        package = runtime()
        card = read_json(self.path / _CARD) if (self.path / _CARD).is_file() else {}
        check_files(self.path, card.get("files", {}))
        options = package.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        # threads that wait by spinning double the time of a large batch beside other work
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")

        def load(name: str) -> Any:
            try:
                return package.InferenceSession(
                    str(self.path / name), options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # noqa: BLE001 - its errors have no common base
                raise ValueError(
                    f"path: {self.path / name} must be an ONNX model of this project, received "
                    f"one that ONNX Runtime refuses: {error}"
                ) from None

        self._sessions: dict[str, Any] = {}
        for name in (MODEL, HISTORY_MODEL):
            if (self.path / name).is_file():
                session = load(name)
                said = session.get_modelmeta().custom_metadata_map.get(SIGNATURES, DEFAULT)
                self._sessions |= dict.fromkeys(said.split(","), session)
        self._inputs = {name: _inputs(session) for name, session in self._sessions.items()}

    def close(self) -> None:
        """Lets go of the sessions."""
        self._sessions = {}

    @property
    def signatures(self) -> tuple[str, ...]:
        """The names of the signatures."""
        return tuple(self._inputs)

    def inputs(self, signature: str = DEFAULT) -> dict[str, OnnxInput]:
        """Returns a signature's inputs and their types."""
        self._find(signature)
        return dict(self._inputs[signature])

    def outputs(self, signature: str = DEFAULT) -> tuple[str, ...]:
        """Returns the names of a signature's outputs."""
        return tuple(sorted(found.name for found in self._find(signature).get_outputs()))

    def run(self, inputs: Mapping[str, Any], signature: str = DEFAULT) -> Arrays:
        """Runs a signature on one batch.

        Args:
            inputs: by name, arrays or lists; text as str or bytes.
            signature: which one.

        Returns:
            By output name, arrays.

        Raises:
            ValueError: if the signature is unknown, or an input is missing, of another type or of
                another shape.
        """
        session = self._find(signature)
        wanted = self._inputs[signature]
        missing = sorted(set(wanted) - set(inputs))
        if missing:
            raise ValueError(f"inputs: {missing} are missing; {signature} takes all of them")
        feed = {name: _fed(name, kind, inputs[name]) for name, kind in wanted.items()}
        rows = {name: len(values) for name, values in feed.items()}
        if len(set(rows.values())) > 1:
            raise ValueError(f"inputs: must have one number of rows, received {rows}")
        names = self.outputs(signature)
        if not next(iter(rows.values())):
            return {name: np.zeros(0, np.float32) for name in names}
        return dict(zip(names, session.run(list(names), feed), strict=True))

    def _find(self, signature: str) -> Any:
        return self._among(signature, self._sessions)


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns size and SHA-256 of a version's graphs and tables, by file name."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(folder.iterdir())
        if path.name.endswith((".onnx", DATA_ENDING))
    }


def check_files(folder: Path, described: Mapping[str, Mapping[str, Any]]) -> None:
    """Compares a version's files with what its card says of them.

    Raises:
        ValueError: naming the file that is missing or another one.
    """
    for name, said in described.items():
        path = folder / name
        found = _digest(path) if path.is_file() else "no file"
        if found != said["sha256"]:
            raise ValueError(
                f"{path}: must have SHA-256 {said['sha256']} as the card says, received {found};\n"
                "copy the version again, whole"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inputs(session: Any) -> dict[str, OnnxInput]:
    found = {}
    for given in sorted(session.get_inputs(), key=lambda one: one.name):
        sizes = tuple(size if isinstance(size, int) else -1 for size in given.shape)
        found[given.name] = OnnxInput(_KINDS.get(given.type, given.type), sizes)
    return found


def _fed(name: str, kind: OnnxInput, values: Any) -> np.ndarray:
    """Returns what ONNX Runtime takes; it would write None as text, and cut fractions off."""
    array = _texts(name, values) if kind.name == "string" else np.asarray(values)
    right = {"int64": "iu", "float32": "fiu"}.get(kind.name, array.dtype.kind)
    if array.dtype.kind not in right and array.size:
        raise ValueError(f"{name}: must be {kind.name}, received {array.dtype}; convert it")
    if kind.name == "int64" and array.dtype == np.uint64 and array.size:
        raise ValueError(f"{name}: must be int64, received uint64; convert it")
    if kind.name != "string":
        array = np.ascontiguousarray(array, kind.name)
    fits = array.ndim == len(kind.shape) and all(
        want in (-1, got) for want, got in zip(kind.shape[1:], array.shape[1:], strict=True)
    )
    if not fits:
        shape = ("rows", *kind.shape[1:])
        raise ValueError(f"{name}: must have shape {shape}, received {array.shape}")
    return array


def _texts(name: str, values: Any) -> np.ndarray:
    """Returns text as str; bytes that are not UTF-8 are no key of a vocabulary, and stay none."""
    array = np.asarray(values, object)
    flat = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.ravel()]
    wrong = next((v for v in flat if not isinstance(v, str)), None)
    if wrong is not None or any(v is None for v in flat):
        raise ValueError(f"{name}: must be text, received {wrong!r}; give str or bytes")
    made = np.empty(len(flat), object)
    made[:] = flat
    return made.reshape(array.shape)
