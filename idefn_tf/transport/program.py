"""The transport of one batch as one program: z in, plan and pseudo-labels out (Eq. 4-14)."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from idefn_tf import relabel
from idefn_tf.transport.costs import COSTS
from idefn_tf.transport.match import SolverOptions, solve
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import partial_problem


@functools.lru_cache(maxsize=64)
def batch_program(
    cost: str, marginals: str, rule: str, options: SolverOptions, jit_compile: bool
) -> Callable[..., tuple[Plan, tf.Tensor, tf.Tensor]]:
    """Cost, problem, plan and labels of a batch as one compiled program that equal layers share.

    Args:
        cost: name of a cost between representations (`COSTS`).
        marginals: "proportion" or "literal".
        rule: name of a relabelling rule.
        options: how to solve.
        jit_compile: whether XLA compiles it.

    Returns:
        A function of row_z [P, d], row_mask [P], column_z [B, d], column_mask [B] and kappa, which
        returns the plan, the labels [B] and the matched fraction [B].
    """

    def run(
        row_z: tf.Tensor,
        row_mask: tf.Tensor,
        column_z: tf.Tensor,
        column_mask: tf.Tensor,
        kappa: tf.Tensor,
    ) -> tuple[Plan, tf.Tensor, tf.Tensor]:
        problem = partial_problem(
            COSTS[cost](row_z, column_z),
            kappa=kappa,
            marginals=marginals,
            row_mask=row_mask,
            column_mask=column_mask,
        )
        plan = solve(problem, options)
        labels = tf.cast(relabel.relabel(plan, rule), tf.float32)
        return plan, labels, plan.matched_fraction

    return tf.function(run, jit_compile=jit_compile or None, autograph=False)
