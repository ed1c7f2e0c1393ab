"""Matches: what RPOT and SRM found in one batch."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf.transport.plan import Plan


class Matches(NamedTuple):
    """What RPOT and SRM found in one batch.

    Attributes:
        labels: pseudo-labels float32 [B]; 0 on clicked rows.
        matched_fraction: share of each row's mass that positives supply, float32 [B].
        pseudo_positives: rows with a label above 0, scalar.
        positives: entries on the positives' side, memory included, scalar.
        overflow: positives of the batch that did not fit the capacity, scalar.
        kappa: the kappa of this step, scalar.
        label_value: what a relabelled row's label is worth, scalar.
        status: see `Status`.
        iterations: of the solver.
        marginal_error: L1 error of the marginals.
        plan: the plan itself; its columns are the batch's rows, its rows the batch's positives
            (the first `capacity`) and then the memory.
        rows: index in the batch of the plan's first `capacity` rows.

    Example:
        >>> from idefn_tf.transport import RPOT
        >>> found = RPOT(kappa=0.5, capacity=2)(outputs.z, batch.click, batch.conversion)
        >>> float(found.positives), float(found.overflow), float(found.kappa)
        (1.0, 0.0, 0.5)
    """

    labels: tf.Tensor
    matched_fraction: tf.Tensor
    pseudo_positives: tf.Tensor
    positives: tf.Tensor
    overflow: tf.Tensor
    kappa: tf.Tensor
    label_value: tf.Tensor
    status: tf.Tensor
    iterations: tf.Tensor
    marginal_error: tf.Tensor
    plan: Plan
    rows: tf.Tensor
