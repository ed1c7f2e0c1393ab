"""The proximal solver (Eq. 6-7): sharp plans without extreme exponentials.

The paper's outer loop moves from plan to plan,

    pi^(t+1) = argmin  <pi, M> + epsilon KL(pi || pi^(t))   under the marginals,           (Eq. 6)
    kernel of step t:  pi^(t) * exp(-M / epsilon), elementwise,                             (Eq. 7)

from pi^(0) = a b^T. Each step multiplies the kernel by exp(-M / epsilon) again and rescales rows
and columns, and scalings merge, so exact steps compose:

    steps with weights e_1 .. e_T  reach  argmin <pi, M> + e KL(pi || pi^(0)),  1/e = sum_t 1/e_t.

T steps at epsilon are thus the same plan as one at epsilon / T, and a few long steps may stand for
many short ones. `proximal` uses that freedom: from inverse temperature beta = sum_t 1 / e_t it
takes the longest next step from which Newton (see `newton`) still lands safely, up to
beta = steps / epsilon, and shortens the step where it does not. Between steps the potentials
phi(beta) are nearly straight lines (phi = beta f + constant), so two known points predict the
third. Where rows are light beside columns (many positives, small kappa) the path is one point: the
columns' prices (`prices`) tell the potentials at its end. `proximal_literal` in `literal.py` is the
loop as printed.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, as_type
from idefn_tf.transport.reductions import fold_all, fold_columns
from idefn_tf.transport.solvers.column_prices import priced_potential
from idefn_tf.transport.solvers.finish import finish, plan_sums, refuse
from idefn_tf.transport.solvers.kernel import absorb, add_exactly
from idefn_tf.transport.solvers.newton import FIRST_STEP, is_close, newton

FIRST_EPSILON = 0.02
LONGEST_STEP = 3.0
SHORTEST_STEP = 1.2
NEWTON_PER_STEP = 12
WORTH_RETURNING = 0.1
DIRECT = 0.3


class _Path(NamedTuple):
    """Where the path stands: known points (beta, phi), and the point being solved."""

    beta: tf.Tensor
    potential: tf.Tensor
    fine: tf.Tensor
    known_beta: tf.Tensor
    known: tf.Tensor
    known_fine: tf.Tensor
    before_beta: tf.Tensor
    before: tf.Tensor
    stretch: tf.Tensor
    trust: tf.Tensor
    spent: tf.Tensor
    iterations: tf.Tensor
    best_error: tf.Tensor
    best: tf.Tensor
    best_fine: tf.Tensor
    best_mass: tf.Tensor
    best_fraction: tf.Tensor
    done: tf.Tensor


def proximal(
    problem: TransportProblem,
    *,
    epsilon: tf.Tensor,
    steps: int = 1,
    scale: tf.Tensor | float = 1.0,
    tolerance: float = 1e-3,
    max_iterations: int = 300,
) -> Plan:
    """Solves Eq. 6 for `steps` proximal steps at `epsilon`; with one step, the entropic problem.

    Args:
        problem: What to solve; float32 or float64.
        epsilon: Scalar weight of the KL term, in units of the cost.
        steps: Number of proximal steps T; the plan equals the entropic one at epsilon / T.
        scale: Typical cost (see `cost_scale`); only sets where the path begins.
        tolerance: Largest L1 marginal error, as a share of the positives' mass.
        max_iterations: Most Newton steps in all. `Plan.iterations` counts them; a renewed
            kernel without a step counts as one, and so does a round of prices (see `prices`).

    Returns:
        The plan. Status CONVERGED or ITERATION_LIMIT, or the reason why there is none.

    Example:
        >>> from idefn_tf.transport import partial_problem, proximal
        >>> problem = partial_problem([[0.0, 1.0]], kappa=0.5)
        >>> plan = proximal(problem, epsilon=tf.constant(0.5), steps=50)
        >>> [round(float(share), 2) for share in plan.matched_fraction]
        [1.0, 0.0]
    """
    dtype = problem.cost.dtype
    cost = problem.reduced_cost
    active = problem.row_mass > 0
    zero, infinite = tf.zeros([], dtype), tf.constant(float("inf"), dtype)
    epsilon, scale = as_type(epsilon, dtype), as_type(scale, dtype)
    tolerance = as_type(tolerance, dtype)
    refusal = refuse(problem, epsilon)
    beta_end = steps / epsilon
    beta_end = tf.where(tf.math.is_finite(beta_end) & (beta_end > 0), beta_end, tf.ones([], dtype))
    virtual = tf.where(problem.virtual_mass > 0, problem.virtual_mass, tf.ones([], dtype))
    log_ratio = tf.math.log(tf.where(active, problem.row_mass, 1.0)) - tf.math.log(virtual)
    share = tf.math.divide_no_nan(problem.column_mass, tf.reduce_sum(problem.column_mass))

    nothing = tf.zeros_like(problem.row_mass)

    def first_guess(beta: tf.Tensor) -> tf.Tensor:
        """One row update from empty columns; exact at beta = 0."""
        # Each row's smallest reduced cost is 0: no sum is empty unless the masses are far apart.
        reach = tf.math.log(fold_columns(tf.add, share * tf.exp(-cost * beta), 0))
        return tf.where(active & tf.math.is_finite(reach), log_ratio - reach, zero)

    def soft_beta() -> tf.Tensor:
        """Where every exponent is within 1."""
        largest = fold_all(tf.maximum, tf.where(tf.math.is_finite(cost), cost, zero), 0)
        return 1 / tf.maximum(largest, tf.constant(1e-30, dtype))

    def going_on(path: _Path) -> tf.Tensor:
        return ~path.done & (path.iterations < max_iterations)

    def advance(path: _Path) -> tuple[_Path]:
        last = path.beta >= beta_end
        kernel = absorb(problem, cost, path.beta, path.potential)
        limit = tf.minimum(NEWTON_PER_STEP - path.spent, max_iterations - path.iterations)
        state = newton(kernel, path.fine, path.trust, tolerance, ~last, limit)
        potential, fine = add_exactly(path.potential, state.x)
        effort = tf.maximum(state.iterations, 1)
        spent = path.spent + effort
        fits = state.rows.error <= tolerance
        # At the end only a freshly absorbed kernel counts: its error is the returned plan's own.
        better = last & (state.rows.error < path.best_error)
        arrived = tf.where(last, fits & (state.iterations == 0), fits | is_close(kernel, state))
        tired = ~arrived & (spent >= NEWTON_PER_STEP)
        failed = tired & (path.stretch > SHORTEST_STEP)
        known_beta = tf.where(arrived, path.beta, path.known_beta)
        known = tf.where(arrived, potential, path.known)
        before_beta = tf.where(arrived, path.known_beta, path.before_beta)
        before = tf.where(arrived, path.known, path.before)
        moved = arrived | failed
        stretch = tf.where(
            failed & (known_beta > 0),
            tf.maximum(tf.sqrt(path.stretch), SHORTEST_STEP),
            path.stretch,
        )
        stretch = tf.where(arrived, tf.minimum(1.5 * path.stretch, LONGEST_STEP), stretch)

        def further() -> tuple[tf.Tensor, tf.Tensor]:
            """The next point on the line through the two known ones."""
            beta = tf.minimum(known_beta * stretch, beta_end)
            slope = tf.math.divide_no_nan(known - before, known_beta - before_beta)
            slope = tf.where(before_beta > 0, slope, tf.math.divide_no_nan(known, known_beta))
            return beta, known + slope * (beta - known_beta)

        def softer() -> tuple[tf.Tensor, tf.Tensor]:
            """Before the first known point nothing is left but a softer beginning."""
            beta = tf.minimum(path.beta / LONGEST_STEP, soft_beta())
            beta = tf.minimum(tf.where(path.beta > beta_path, beta_path, beta), beta_end)
            return beta, first_guess(beta)

        beta, predicted = tf.cond(
            moved,
            lambda: tf.cond(known_beta > 0, further, softer),
            lambda: (path.beta, potential),
        )
        return (
            _Path(
                beta=beta,
                potential=predicted,
                fine=tf.where(moved, nothing, fine),
                known_beta=known_beta,
                known=known,
                known_fine=tf.where(arrived, fine, path.known_fine),
                before_beta=before_beta,
                before=before,
                stretch=stretch,
                trust=tf.where(moved, tf.constant(FIRST_STEP, dtype), state.trust),
                spent=tf.where(moved | tired, 0, spent),
                iterations=path.iterations + effort,
                best_error=tf.where(better, state.rows.error, path.best_error),
                best=tf.where(better, potential, path.best),
                best_fine=tf.where(better, fine, path.best_fine),
                best_mass=tf.where(better, state.rows.mass, path.best_mass),
                best_fraction=tf.where(better, state.rows.fraction, path.best_fraction),
                done=last & arrived,
            ),
        )

    beta_path = tf.minimum(beta_end, 1 / (FIRST_EPSILON * scale))
    # Where rows are light beside columns, few columns fill up and their prices tell the plan at any
    # beta: try the end at once.
    light = tf.reduce_max(problem.row_mass) <= DIRECT * tf.reduce_max(problem.column_mass)
    beta_start = tf.where(light, beta_end, beta_path)
    potential, rounds = tf.cond(
        light & (problem.virtual_mass > 0) & (refusal == 0) & (max_iterations > 0),
        lambda: priced_potential(problem, cost, beta_end, max_iterations),
        lambda: (first_guess(beta_start), tf.constant(0)),
    )
    start = _Path(
        beta=beta_start,
        potential=potential,
        fine=nothing,
        known_beta=zero,
        known=nothing,
        known_fine=nothing,
        before_beta=zero,
        before=nothing,
        stretch=tf.constant(LONGEST_STEP, dtype),
        trust=tf.constant(FIRST_STEP, dtype),
        spent=tf.constant(0),
        iterations=rounds,
        best_error=infinite,
        best=nothing,
        best_fine=nothing,
        best_mass=nothing,
        best_fraction=tf.zeros_like(problem.column_mass),
        done=refusal > 0,
    )
    (path,) = tf.while_loop(going_on, advance, (start,))
    # Short of the end, the last point that was solved is better than a poor guess at the end.
    at_end = (path.best_error < WORTH_RETURNING) | (path.known_beta <= 0)
    potential = tf.where(at_end, path.best, path.known)
    beta = tf.where(at_end, beta_end, path.known_beta)
    fine = tf.where(at_end, path.best_fine, path.known_fine)
    sums = tf.cond(
        at_end & tf.math.is_finite(path.best_error),
        lambda: (path.best_mass, path.best_fraction),
        lambda: plan_sums(problem, cost, (potential, fine), beta),
    )
    return finish(problem, (potential, fine), beta, path.done, path.iterations, refusal, sums)
