"""Published versions, whatever their format: a SavedModel or ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from idefn_tf.export.onnx.onnx_scorer import MODEL, OnnxScorer

if TYPE_CHECKING:
    from idefn_tf.export.scorer import Scorer

#: The formats of a version.
SAVED_MODEL, ONNX = "saved-model", "onnx"
FORMATS = (SAVED_MODEL, ONNX)


def format_of(version: str | Path) -> str:
    """Returns the format of a version's folder."""
    return ONNX if (Path(version) / MODEL).is_file() else SAVED_MODEL


def open_version(version: str | Path) -> Scorer | OnnxScorer:
    """Opens a version to score rows with; both formats give the same names.

    Raises:
        ImportError: if the version is ONNX and onnxruntime is missing.
        ValueError: if the folder is no version.
    """
    if format_of(version) == ONNX:
        return OnnxScorer(version)
    from idefn_tf.export.scorer import Scorer  # TensorFlow, which servers' --help does without

    return Scorer(version)
