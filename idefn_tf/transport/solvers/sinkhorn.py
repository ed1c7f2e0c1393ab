"""Sinkhorn's algorithm for one entropic problem (Eq. 8-10): alternate exact columns and rows.

    v_j = b_j / (K_virtual,j u_virtual + sum_i u_i K_ij)            columns
    u_i = a_i / sum_j K_ij v_j,   u_virtual = a_virtual / sum_j K_virtual,j v_j          rows

Only ratios to the virtual row matter, so the loop carries phi_i = log(u_i / u_virtual) and a sweep
reads  phi_i += log(a_i / r_i) - log(a_virtual / r_virtual),  r the row sums with exact columns.
Two ways to get r: "log" (two log-sum-exps per sweep over blocks of rows, so that no matrix but the
cost is held, see `blocked`) and "kernel" (two matrix-vector products with the stabilised kernel of
`kernel`, several times faster). Their iterates are the same.

It may not converge within `max_iterations` because
    epsilon is small: the sweeps needed grow like 1 / epsilon  -> use `proximal`, or raise epsilon;
    columns are nearly full (kappa N_U well above N_P)         -> use `proximal` (Newton inside).
"""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._rules import COUNT, OneOf, checked
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, as_type
from idefn_tf.transport.solvers.finish import finish, plan_sums, refuse
from idefn_tf.transport.solvers.kernel import Kernel, absorb, rows_at
from idefn_tf.transport.solvers.log_domain_blocks import fractions, log_sums
from idefn_tf.transport.solvers.newton import LARGEST_MULTIPLIER

MODES = ("kernel", "log")


def sinkhorn(
    problem: TransportProblem,
    *,
    epsilon: tf.Tensor,
    mode: str = "kernel",
    tolerance: float = 1e-3,
    max_iterations: int = 2000,
    check_every: int = 10,
    potential: tf.Tensor | None = None,
) -> Plan:
    """Solves  min <pi, M> + epsilon KL(pi || a b^T)  under both marginals.

    Args:
        problem: What to solve; float32 or float64.
        epsilon: Scalar weight of the entropy, in units of the cost.
        mode: "kernel" or "log"; the same iterates, the first faster.
        tolerance: Largest L1 marginal error, as a share of the positives' mass.
        max_iterations: Most sweeps. `Plan.iterations` counts them.
        check_every: The error is tested after every so many sweeps.
        potential: Float tensor [P] to start from (an earlier plan's `potential`), or None.

    Returns:
        The plan. Status CONVERGED or ITERATION_LIMIT, or the reason why there is none.

    Raises:
        ValueError: If `mode` is unknown or `check_every` is not positive.

    Example:
        >>> from idefn_tf.transport import partial_problem, sinkhorn
        >>> problem = partial_problem([[0.0, 1.0]], kappa=0.5)
        >>> plan = sinkhorn(problem, epsilon=tf.constant(0.5))
        >>> [round(float(share), 2) for share in plan.matched_fraction]
        [0.73, 0.27]
    """
    checked("mode", OneOf(MODES), mode)
    checked("check_every", COUNT, check_every)
    dtype = problem.cost.dtype
    least, cost = problem.row_minimum, problem.reduced_cost
    epsilon, tolerance = as_type(epsilon, dtype), as_type(tolerance, dtype)
    refusal = refuse(problem, epsilon)
    one = tf.ones([], dtype)
    beta = 1 / tf.where(refusal > 0, one, epsilon)
    active = problem.row_mass > 0
    log_row = tf.math.log(tf.where(active, problem.row_mass, one))
    has_virtual = problem.virtual_mass > 0
    log_virtual = tf.math.log(tf.where(has_virtual, problem.virtual_mass, one))
    wanted = tf.maximum(problem.matched_mass, tf.constant(1e-37, dtype))

    def update(log_mass: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One row update of phi from the log row sums, and the error before it."""
        error = tf.reduce_sum(tf.where(active, tf.abs(tf.exp(log_mass) - problem.row_mass), 0))
        rest = tf.reduce_sum(problem.column_mass) - tf.reduce_sum(
            tf.where(active, tf.exp(log_mass), 0)
        )
        virtual = log_virtual - tf.math.log(tf.maximum(rest, tf.constant(1e-37, dtype)))
        change = log_row - log_mass - tf.where(has_virtual, virtual, 0)
        return tf.where(active, tf.clip_by_value(change, -100, 100), 0), error / wanted

    def log_sweeps(phi: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def sweep(count: tf.Tensor, phi: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
            log_mass, _ = log_sums(problem, least, beta, phi)
            change, error = update(tf.where(active, log_mass, 0))
            return count + 1, phi + change, error

        _, phi, error = tf.while_loop(
            lambda count, *_: count < check_every, sweep, (tf.constant(0), phi, one)
        )
        return phi, error

    def kernel_sweeps(phi: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kernel: Kernel = absorb(problem, cost, beta, phi)

        def sweep(count: tf.Tensor, x: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
            mass = rows_at(kernel, x).mass
            log_mass = tf.math.log(tf.maximum(mass, tf.constant(1e-37, dtype)))
            change, error = update(log_mass)
            return count + 1, x + change, error

        def going_on(count: tf.Tensor, x: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
            return (count < check_every) & (tf.reduce_max(tf.abs(x)) <= LARGEST_MULTIPLIER)

        _, x, error = tf.while_loop(going_on, sweep, (tf.constant(0), tf.zeros_like(phi), one))
        return phi + x, error

    sweeps = kernel_sweeps if mode == "kernel" else log_sweeps

    def advance(phi: tf.Tensor, error: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, ...]:
        phi, error = sweeps(phi)
        return phi, error, count + check_every

    def going_on(phi: tf.Tensor, error: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        return (error > tolerance) & (count < max_iterations) & tf.equal(refusal, 0)

    if potential is None:
        potential = tf.where(active, log_row - log_virtual, 0)
    start = tf.where(active & tf.math.is_finite(potential), potential, 0)
    phi, error, count = tf.while_loop(going_on, advance, (start, one + tolerance, tf.constant(0)))
    found = (phi, tf.zeros_like(phi))
    if mode == "log":
        log_mass, normaliser = log_sums(problem, least, beta, phi)
        mass = tf.where(active, tf.exp(log_mass), 0)
        sums = mass, fractions(problem, least, beta, phi, normaliser)
    else:
        sums = plan_sums(problem, cost, found, beta)
    return finish(problem, found, beta, error <= tolerance, count, refusal, sums)
