"""The transport of one batch as one program: z in, plan and pseudo-labels out (Eq. 4-14).

Every row of the batch is a column of the problem, the clicked ones masked. Where many are clicked
that wastes work: `narrowed` gathers the unclicked rows into a smaller fixed number of places first
and falls back to the whole batch where they do not fit, so that no row is ever dropped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import tensorflow as tf

from idefn_tf.transport import relabel
from idefn_tf.transport.costs import COSTS, cost_scale
from idefn_tf.transport.match import solve
from idefn_tf.transport.options import SolverOptions
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, partial_problem
from idefn_tf.transport.rejection_prices import level_of_share, solve_priced

#: The narrow program's places as a share of the batch, and the smallest batch that is worth it.
NARROW, LEAST_BATCH = 5 / 8, 512
#: Solvers whose plan is potentials, whatever the number of columns.
_BY_POTENTIALS = ("proximal", "newton", "sinkhorn")


class Asked(NamedTuple):
    """One batch: positives' side and columns.

    Attributes:
        row_z: representations of the positives' side [P, d].
        row_mask: which of them take part [P].
        column_z: representations of the columns [U, d].
        column_mask: which of them are unclicked [U].
        kappa: share that may be matched, scalar.
        weights: rejection prices at level 1 [U]; None where one mass budget is asked for.
    """

    row_z: tf.Tensor
    row_mask: tf.Tensor
    column_z: tf.Tensor
    column_mask: tf.Tensor
    kappa: tf.Tensor
    weights: tf.Tensor | None = None


@functools.lru_cache(maxsize=64)
def batch_program(
    cost: str,
    marginals: str,
    rule: str,
    options: SolverOptions,
    jit_compile: bool,
    narrow: bool = False,
    price: float | str | None = None,
) -> Callable[[Asked], tuple[Plan, tf.Tensor]]:
    """Cost, problem, plan and labels of a batch as one compiled program that equal layers share.

    Args:
        cost: name of a cost between representations (`COSTS`).
        marginals: "proportion" or "literal".
        rule: name of a relabelling rule.
        options: how to solve.
        jit_compile: whether XLA compiles it.
        narrow: whether to try fewer columns than the batch has rows first. The plan is the same
            but for rounding and the sample of costs that the median is taken of; compiling takes
            twice as long. Not where there are prices.
        price: level of the rejection prices, relative to the cost's scale; "auto", so that a share
            kappa of the columns is near enough to be accepted; None for one mass budget.

    Returns:
        A function of `Asked` that returns the plan, whose columns are the batch's rows, and the
        labels [B].
    """

    def problem_of(asked: Asked) -> TransportProblem:
        return partial_problem(
            COSTS[cost](asked.row_z, asked.column_z),
            kappa=asked.kappa if price is None else 1.0,
            marginals=marginals,
            row_mask=asked.row_mask,
            column_mask=asked.column_mask,
        )

    def found(asked: Asked) -> tuple[Plan, tf.Tensor]:
        problem = problem_of(asked)
        if asked.weights is None or price is None:
            plan = solve(problem, options)
        else:
            plan = solve_priced(problem, _prices(problem, asked, options, price), options)
        return plan, tf.cast(relabel.relabel(plan, rule), tf.float32)

    def run(asked: Asked) -> tuple[Plan, tf.Tensor]:
        batch = asked.column_z.shape[0]
        by_potentials = price is None and options.solver in _BY_POTENTIALS
        if not narrow or not by_potentials or (batch or 0) < LEAST_BATCH:
            return found(asked)
        plan, labels = narrowed(asked, -(-int(NARROW * batch) // 128) * 128, found)
        # Compilers leave the cost out where the plan's matrix is not read.
        return plan._replace(problem=problem_of(asked)), labels

    return tf.function(run, jit_compile=jit_compile or None, autograph=False)


def _prices(
    problem: TransportProblem, asked: Asked, options: SolverOptions, price: float | str
) -> tf.Tensor:
    """Rejection prices in the cost's unit, [U]."""
    if isinstance(price, str):
        level = level_of_share(problem, asked.weights, asked.kappa)
    else:
        level = price * cost_scale(
            problem.cost, problem.row_mask, problem.column_mask, options.scale
        )
    return level * asked.weights


def narrowed(
    asked: Asked, places: int, found: Callable[[Asked], tuple[Plan, tf.Tensor]]
) -> tuple[Plan, tf.Tensor]:
    """Solves with the unclicked rows alone in `places` columns, or with all where they do not fit.

    Args:
        asked: the batch.
        places: columns of the narrow problem.
        found: plan and labels of a problem of any width.

    Returns:
        The plan without its problem, and the labels, both with one column per row of the batch.
    """
    mask = asked.column_mask
    count = tf.reduce_sum(tf.cast(mask, tf.int32))
    place = tf.clip_by_value(tf.cumsum(tf.cast(mask, tf.int32)) - 1, 0, places - 1)
    unclicked = _rows_in_places(mask, place, places)

    def values(plan: Plan, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (
            plan.matched_fraction,
            labels,
            plan.potential,
            plan.fine,
            plan.epsilon,
            plan.status,
            plan.iterations,
            plan.marginal_error,
        )

    def few() -> tuple[tf.Tensor, ...]:
        narrow = asked._replace(
            column_z=tf.gather(asked.column_z, unclicked), column_mask=tf.range(places) < count
        )
        fraction, labels, *rest = values(*found(narrow))
        return back(fraction), back(labels), *rest

    def back(value: tf.Tensor) -> tf.Tensor:
        return tf.where(mask, tf.gather(value, place), tf.zeros_like(value[:1]))

    def all_of_them() -> tuple[tf.Tensor, ...]:
        return values(*found(asked))

    fraction, labels, potential, fine, epsilon, status, iterations, error = tf.cond(
        count <= places, few, all_of_them
    )
    plan = Plan(
        problem=cast(Any, None),  # the caller has it
        potential=potential,
        fine=fine,
        epsilon=epsilon,
        status=status,
        iterations=iterations,
        marginal_error=error,
        fraction=fraction,
    )
    return plan, labels


def _rows_in_places(mask: tf.Tensor, place: tf.Tensor, places: int) -> tf.Tensor:
    """Which row of the batch stands in each place [places], 0 in empty ones; cheaper than a sort.

    Where there are more rows than places the last place is nonsense, and is not read.
    """
    target = tf.where(mask, place, places)  # one more place, for the rows that are left out
    return tf.scatter_nd(target[:, None], tf.range(tf.shape(mask)[0]), [places + 1])[:places]
