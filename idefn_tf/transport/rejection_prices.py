"""Rejection prices: partial optimal transport with a price per unclicked row, not one mass budget.

A mass budget (kappa) moves so much mass, wherever it is cheapest. Prices p_j >= 0 say for each
column j what it costs to leave it unmatched:

    minimise   sum_ij pi_ij M_ij + sum_j p_j (b_j - sum_i pi_ij)
    over       pi >= 0,   row sums at most a_i,   column sums at most b_j.

Mass then moves from i to j only where M_ij <= p_j: a price is a local threshold of acceptance. A
positive is rejected for nothing; what it may bring at most, a_i, is all that is left of a budget.

With a rejection column that takes what the positives keep the problem is an ordinary balanced one,
which every solver here solves:

    cost [M_ij - p_j | 0],   row masses a_i,   column masses (b_j | sum_i a_i).

Columns are full there, the virtual row included, so the constant p_j of a column changes no plan:
what the virtual row would pay, the real rows are spared. (`solvers/column_prices` has prices too,
but those follow from masses: they are the dual's, and these are asked for.)

Prices from the model's own propensity c_j = P(click | row j):

    p_j = level (1 - c_j).

A row whose click was likely, and which was not clicked all the same, was looked at and refused: it
is rejected cheaply. A row whose click was unlikely tells least against a conversion: to reject it
is dear. That is the posterior of learning from positives that are labelled with a propensity, in
which an unlabelled row's odds of being positive go with 1 - c.

Source: IC-POT, Tripathi et al., arXiv 2605.20030, of which the abstract alone was read. It has
rejection costs for each point of both measures, local thresholds of acceptance as the dual's
meaning, a balanced problem on an augmented support, and positive-unlabelled learning as a use. The
rule 1 - c, free rejection of positives and the level by kappa are this library's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from idefn_tf.transport.costs import cost_scale
from idefn_tf.transport.match import solve
from idefn_tf.transport.options import SolverOptions
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, as_type, partial_problem
from idefn_tf.transport.reductions import fold_rows, order_statistic

#: The least chance of no click, so that a price is never 0 where a level asks for one.
LEAST = 1e-6


def propensity_weights(propensity: tf.Tensor) -> tf.Tensor:
    """Returns 1 - c_j, at least 1e-6: the prices at level 1.

    Args:
        propensity: c_j, click probabilities [U].
    """
    return tf.clip_by_value(1.0 - propensity, LEAST, 1.0)


def level_of_share(problem: TransportProblem, weights: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """The level at which so large a share of the columns lies within its price of a positive.

    Column j is accepted, where capacities leave it room, once its nearest positive costs less than
    level x weights_j. So the level lies midway between the last ratio of the two that belongs to
    the share and the first that does not.

    Args:
        problem: Costs and masks.
        weights: Prices at level 1, above 0, [U].
        share: Scalar in [0, 1].

    Returns:
        Scalar, in the cost's own unit; 0 where there is no positive or no column, or where more
        than the share lie at distance 0 of a positive: no row is labelled then.
    """
    infinite = tf.constant(float("inf"), problem.cost.dtype)
    costs = tf.where(problem.row_mask[:, None], problem.cost, infinite)
    ratio = tf.maximum(fold_rows(tf.minimum, costs, float("inf")), 0) / weights
    count = tf.reduce_sum(tf.cast(problem.column_mask, tf.int32))
    within = tf.floor(share * tf.cast(count, share.dtype) + 1e-3)  # rounding must not cost a column
    last = tf.cast(within, tf.int32)
    ends = [
        order_statistic(ratio[None, :], problem.column_mask[None, :], rank)
        for rank in (last, tf.minimum(last + 1, count))
    ]
    level = (ends[0] + ends[1]) / 2
    return tf.where(tf.math.is_finite(level), level, tf.zeros_like(level))


def solve_priced(problem: TransportProblem, prices: Any, options: SolverOptions) -> Plan:
    """Solves a problem with rejection prices; a pure function of tensors, for use inside graphs.

    Args:
        problem: Costs, columns' masses, and as rows' masses what each positive brings at most.
        prices: p_j in the cost's own unit, [U]; 0 or less rejects: such a row never moves,
            not even at distance 0.
        options: How to solve. Its scale is that of the costs without prices.

    Returns:
        The plan of the real columns; its problem has the rows' masses that were accepted. Its
        marginal error is the augmented problem's.
    """
    dtype = problem.cost.dtype
    scale = cost_scale(problem.cost, problem.row_mask, problem.column_mask, options.scale)
    prices = as_type(prices, dtype)
    worth = (problem.cost - prices[None, :]) / scale
    # At a price of 0 a row that costs nothing would tie with its rejection, and rounding decide.
    # Such rows are left out, but for costs that are no number, which the solver has to see.
    sound = (problem.cost > -float("inf")) | ~problem.row_mask[:, None]  # a NaN compares as false
    left_out = problem.column_mask & (prices <= 0) & tf.reduce_all(sound, axis=0)
    none = tf.zeros_like(problem.column_mass)
    asked = tf.where(left_out, none, problem.column_mass)
    # Without a column there is nothing to match; the rejection column must not hide that.
    kept = tf.where(tf.reduce_any(problem.column_mask), problem.matched_mass, 0)
    augmented = partial_problem(
        tf.pad(worth, [[0, 0], [0, 1]]),
        marginals=(problem.row_mass, tf.concat([asked, kept[None]], 0)),
        row_mask=problem.row_mask,
        column_mask=tf.concat([problem.column_mask & ~left_out, kept[None] > 0], 0),
    )
    plan = solve(augmented, dataclasses.replace(options, scale="none"))
    unmoved = tf.where(left_out, problem.column_mass, none)
    whole = tf.concat([plan.matrix[:-1, :-1], plan.matrix[-1:, :-1] + unmoved], 0)
    brought = tf.reduce_sum(whole[:-1], axis=1)
    return plan._replace(
        problem=problem._replace(row_mass=brought, virtual_mass=tf.reduce_sum(whole[-1])),
        potential=tf.zeros_like(plan.potential),
        fine=tf.zeros_like(plan.fine),
        epsilon=plan.epsilon * scale,
        transported=whole,
        fraction=None if plan.fraction is None else tf.where(left_out, none, plan.fraction[:-1]),
    )
