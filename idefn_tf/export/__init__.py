"""Export: a trained model becomes a version that TensorFlow Serving loads.

Names are imported when they are first used: the tools that only look at versions on disk start
without TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from idefn_tf._lazy import lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "Gate": "gate",
        "GateError": "gate",
        "Scorer": "scorer",
        "ServingModule": "signatures",
        "export_model": "exporter",
        "list_versions": "versions",
        "prune": "versions",
        "serving_inputs": "signatures",
        "serving_schema": "signatures",
    },
)
