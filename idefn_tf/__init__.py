"""idefn_tf: entire-space conversion-rate models for TensorFlow and Keras.

The names below are the everyday ones; they load on first use, so that importing the package is
cheap and touches neither TensorFlow nor the network.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Schema": "idefn_tf.schema",
    "open_dataset": "idefn_tf.data",
    "learn_vocabularies": "idefn_tf.data",
    "FeatureColumns": "idefn_tf.features",
    "MLP": "idefn_tf.backbones",
    "DeepFM": "idefn_tf.backbones",
    "DCNv2": "idefn_tf.backbones",
    "ClickOnly": "idefn_tf.models",
    "AllNegative": "idefn_tf.models",
    "ESMM": "idefn_tf.models",
    "IdeFN": "idefn_tf.models",
    "EntireSpaceModel": "idefn_tf.models",
    "RowSparseAdam": "idefn_tf.optimizers",
    "SelectBest": "idefn_tf.callbacks",
    "evaluate_spaces": "idefn_tf.evaluation.spaces",
    "export_model": "idefn_tf.export",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'idefn_tf' has no attribute {name!r}; it has {__all__}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
