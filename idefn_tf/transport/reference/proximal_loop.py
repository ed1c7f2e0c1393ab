"""The proximal loop as printed (Eq. 6-10): one step of weight epsilon after the other.

    pi^(0)  = a b^T
    K       = exp(-M / epsilon)
    step t:   G = pi^(t) * K, elementwise                                     (Eq. 6-7)
              repeat:  rows of G scaled to a, then columns of G to b          (Eq. 8-10)
              pi^(t+1) = G

One sweep lets a row's multiplier grow by at most log(a_i / r_i). Where columns are full and the
next best column costs more than that many epsilons, the plan falls behind and its status says so;
more `sweeps`, or a larger epsilon with more `steps`, follow. Slow beside `proximal`, which reaches
the same plan by fewer, longer steps; here for fidelity, for studies of the step count, and as the
oracle of Theorem 1's test.
"""

from __future__ import annotations

import tensorflow as tf

from idefn_tf.transport.full_problem import WholeProblem, finish_whole, marginal_error, whole
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, as_type
from idefn_tf.transport.solvers.finish import refuse


def proximal_literal(
    problem: TransportProblem,
    *,
    epsilon: tf.Tensor,
    steps: int = 50,
    sweeps: int = 1,
    tolerance: float = 1e-3,
) -> Plan:
    """Runs `steps` proximal steps of weight `epsilon` with `sweeps` inner sweeps each.

    Args:
        problem: What to solve.
        epsilon: Scalar weight of the KL term, in units of the cost.
        steps: Outer steps, all of which are made.
        sweeps: Inner sweeps (rows, then columns) per step at most; a step ends early once its
            marginal error is within a hundredth of the tolerance.
        tolerance: Largest L1 marginal error at the end, as a share of the positives' mass.

    Returns:
        The plan, as a matrix. `iterations` counts sweeps.

    Example:
        >>> from idefn_tf.transport import partial_problem, proximal_literal
        >>> problem = partial_problem([[0.0, 1.0]], kappa=0.5)
        >>> plan = proximal_literal(problem, epsilon=tf.constant(0.5), steps=50)
        >>> [round(float(share), 2) for share in plan.matched_fraction]
        [0.99, 0.0]
    """
    dtype = problem.cost.dtype
    epsilon, tolerance = as_type(epsilon, dtype), as_type(tolerance, dtype)
    refusal = refuse(problem, epsilon)
    asked = whole(problem)
    kernel = tf.exp(-asked.cost / tf.where(refusal > 0, tf.ones([], dtype), epsilon))
    enough = tolerance * problem.matched_mass / 100

    def going_on(step: tf.Tensor, pi: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        return (step < steps) & tf.equal(refusal, 0)

    def outer(step: tf.Tensor, pi: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, ...]:
        pi, done = proximal_step(asked, kernel, pi, sweeps, enough)
        return step + 1, pi, count + done

    start = first_plan(asked)
    zero = tf.constant(0)
    _, pi, count = tf.while_loop(going_on, outer, (zero, start, zero))
    return finish_whole(problem, pi, epsilon / steps, tolerance, count, refusal)


def first_plan(asked: WholeProblem) -> tf.Tensor:
    """pi^(0) = a b^T / sum b, [P + 1, U]."""
    total = tf.reduce_sum(asked.column_mass)
    return tf.math.divide_no_nan(asked.row_mass[:, None] * asked.column_mass, total)


def proximal_step(
    asked: WholeProblem,
    kernel: tf.Tensor,
    pi: tf.Tensor,
    sweeps: int,
    enough: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One step of Eq. 6: argmin <pi, M> + epsilon KL(pi || pi^(t)), by alternating scalings.

    Args:
        asked: The whole problem.
        kernel: exp(-M / epsilon), [P + 1, U].
        pi: pi^(t), [P + 1, U].
        sweeps: Most sweeps.
        enough: L1 marginal error at which to stop.

    Returns:
        pi^(t+1) and the number of sweeps made.
    """

    def going_on(count: tf.Tensor, plan: tf.Tensor, error: tf.Tensor) -> tf.Tensor:
        return (count < sweeps) & (error > enough)

    def sweep(count: tf.Tensor, plan: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows = tf.reduce_sum(plan, axis=1)
        plan = plan * tf.math.divide_no_nan(asked.row_mass, rows)[:, None]
        columns = tf.reduce_sum(plan, axis=0)
        plan = plan * tf.math.divide_no_nan(asked.column_mass, columns)
        return count + 1, plan, marginal_error(plan, asked.row_mass, asked.column_mass)

    infinite = tf.constant(float("inf"), pi.dtype)
    count, plan, _ = tf.while_loop(going_on, sweep, (tf.constant(0), pi * kernel, infinite))
    return plan, count
