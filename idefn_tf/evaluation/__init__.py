"""Evaluation spaces, the audit of pseudo-labels, and off-policy estimates."""

from idefn_tf.evaluation.off_policy import (
    doubly_robust,
    effective_sample_size,
    importance_weights,
    ips,
    snips,
)
from idefn_tf.evaluation.policies import argmax_policy, softmax_policy, top_share_weights
from idefn_tf.evaluation.policy_value import PolicyValue, value_policy
from idefn_tf.evaluation.pseudo_label_audit import PseudoLabelAudit, audit_labels
from idefn_tf.evaluation.spaces import SPACES, Space, evaluate_spaces, get_space

__all__ = [
    "SPACES",
    "PolicyValue",
    "PseudoLabelAudit",
    "Space",
    "argmax_policy",
    "audit_labels",
    "doubly_robust",
    "effective_sample_size",
    "evaluate_spaces",
    "get_space",
    "importance_weights",
    "ips",
    "snips",
    "softmax_policy",
    "top_share_weights",
    "value_policy",
]
