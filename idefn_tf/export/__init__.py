"""Export: a trained model becomes a version that TensorFlow Serving loads."""

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
