"""RPOT: relaxed partial optimal transport as a Keras layer, for use inside a train step."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from idefn_tf import relabel
from idefn_tf.transport.costs import COSTS
from idefn_tf.transport.match import SolverOptions, solve
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import MARGINALS, partial_problem


class Matches(NamedTuple):
    """What RPOT and SRM found in one batch.

    Attributes:
        labels: pseudo-labels float32 [B]; 0 on clicked rows.
        matched_fraction: share of each row's mass that positives supply, float32 [B].
        pseudo_positives: sum of the labels, scalar.
        positives: rows on the positives' side (memory included), scalar.
        overflow: positives that did not fit the capacity, scalar.
        status: see `Status`.
        iterations: of the solver.
        marginal_error: L1 error of the marginals.
        plan: the plan itself; its columns are the batch's rows.
    """

    labels: tf.Tensor
    matched_fraction: tf.Tensor
    pseudo_positives: tf.Tensor
    positives: tf.Tensor
    overflow: tf.Tensor
    status: tf.Tensor
    iterations: tf.Tensor
    marginal_error: tf.Tensor
    plan: Plan


@keras.saving.register_keras_serializable(package="idefn_tf")
class RPOT(keras.layers.Layer):
    """Matches a batch's unclicked rows to its converted ones (Eq. 4-10) and relabels (Eq. 13-14).

    Args:
        kappa: share of the unclicked rows that may be matched, in [0, 1].
        marginals: "proportion" (R2) or "literal" (R1).
        rule: "argmax", "matched_fraction", "top_k" or "soft".
        capacity: most positives that take part; more are counted as overflow.
        cost: "squared_euclidean" or "cosine".
        normalize: scales each z to length one first.
        epsilon: entropic weight relative to the cost's scale.
        scale: "median", "mean" or "none".
        steps: proximal steps.
        solver: "proximal", "newton" or "sinkhorn".

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        kappa: float = 0.02,
        marginals: str = "proportion",
        rule: str = "argmax",
        capacity: int = 128,
        cost: str = "squared_euclidean",
        normalize: bool = False,
        epsilon: float = 0.05,
        scale: str = "median",
        steps: int = 500,
        solver: str = "proximal",
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=False, **kwargs)
        for name, value, known in (
            ("marginals", marginals, MARGINALS),
            ("rule", rule, tuple(relabel.RULES)),
            ("cost", cost, tuple(COSTS)),
        ):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}.")
        if not 0 <= kappa <= 1:
            raise ValueError(f"`kappa` must lie in [0, 1]. Received: {kappa!r}.")
        if capacity < 1:
            raise ValueError(f"`capacity` must be at least 1. Received: {capacity!r}.")
        self.kappa, self.marginals, self.rule = kappa, marginals, rule
        self.capacity, self.cost, self.normalize = capacity, cost, normalize
        self.options = SolverOptions(solver=solver, epsilon=epsilon, steps=steps, scale=scale)
        self.memory = 0

    def build(self, input_shape: Any) -> None:
        """Nothing to create without a memory."""
        self.built = True

    def call(
        self, z: tf.Tensor, click: tf.Tensor, conversion: tf.Tensor, training: bool = False
    ) -> Matches:
        """Matches one batch.

        Args:
            z: representations [B, d]; no gradient flows into them.
            click: [B].
            conversion: [B].
            training: whether this is a training step.

        Returns:
            The matches.
        """
        z = tf.stop_gradient(tf.cast(z, tf.float32))
        if self.normalize:
            z = tf.math.l2_normalize(z, axis=1)
        positive = click * conversion
        count = min(self.capacity, z.shape[0]) if z.shape[0] else self.capacity
        count = tf.minimum(count, tf.shape(z)[0])
        chosen, at = tf.math.top_k(positive, count)
        cost = COSTS[self.cost](tf.gather(z, at), z)
        problem = partial_problem(
            cost,
            kappa=self.kappa,
            marginals=self.marginals,
            row_mask=chosen > 0.5,
            column_mask=click < 0.5,
        )
        plan = solve(problem, self.options)
        labels = tf.cast(relabel.relabel(plan, self.rule), tf.float32) * (1.0 - click)
        return Matches(
            labels=labels,
            matched_fraction=plan.matched_fraction,
            pseudo_positives=tf.reduce_sum(labels),
            positives=tf.reduce_sum(chosen),
            overflow=tf.reduce_sum(positive) - tf.reduce_sum(chosen),
            status=plan.status,
            iterations=plan.iterations,
            marginal_error=plan.marginal_error,
            plan=plan,
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "kappa": self.kappa,
            "marginals": self.marginals,
            "rule": self.rule,
            "capacity": self.capacity,
            "cost": self.cost,
            "normalize": self.normalize,
            "epsilon": self.options.epsilon,
            "scale": self.options.scale,
            "steps": self.options.steps,
            "solver": self.options.solver,
        }
