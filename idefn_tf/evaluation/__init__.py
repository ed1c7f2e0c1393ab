"""Evaluation spaces, and the audit of pseudo-labels."""

from idefn_tf.evaluation.pseudo_label_audit import PseudoLabelAudit, audit_labels
from idefn_tf.evaluation.spaces import SPACES, Space, evaluate_spaces, get_space

__all__ = [
    "SPACES",
    "PseudoLabelAudit",
    "Space",
    "audit_labels",
    "evaluate_spaces",
    "get_space",
]
