"""Export: a trained model becomes a version that TensorFlow Serving loads.

Names are imported when they are first used: the tools that only look at versions on disk start
without TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idefn_tf.export.exporter import export_model
    from idefn_tf.export.gate import Gate, GateError
    from idefn_tf.export.scorer import Scorer
    from idefn_tf.export.signatures import ServingModule, serving_inputs, serving_schema
    from idefn_tf.export.versions import list_versions, prune

__all__ = [
    "Gate",
    "GateError",
    "Scorer",
    "ServingModule",
    "export_model",
    "list_versions",
    "prune",
    "serving_inputs",
    "serving_schema",
]

_HOMES = {
    "Gate": "gate",
    "GateError": "gate",
    "Scorer": "scorer",
    "ServingModule": "signatures",
    "export_model": "exporter",
    "list_versions": "versions",
    "prune": "versions",
    "serving_inputs": "signatures",
    "serving_schema": "signatures",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
