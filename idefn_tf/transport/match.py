"""The one door for everyday use: a cost matrix and kappa in, a plan out."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, cast

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.transport.costs import cost_scale
from idefn_tf.transport.feasibility import lacking_share
from idefn_tf.transport.full_problem import finish_whole
from idefn_tf.transport.options import SolverOptions
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, as_type, partial_problem
from idefn_tf.transport.reference.greenkhorn import greenkhorn
from idefn_tf.transport.reference.proximal_loop import proximal_literal
from idefn_tf.transport.solvers.exact import exact
from idefn_tf.transport.solvers.finish import finish
from idefn_tf.transport.solvers.proximal import proximal
from idefn_tf.transport.solvers.sinkhorn import sinkhorn
from idefn_tf.transport.status import Status

# Sizes below these share one compiled program.
LEAST_ROWS, LEAST_COLUMNS = 8, 128
# A share of the mass that rounding alone may lack.
_ROUNDING = 1e-5


TIGHT = SolverOptions(steps=10_000, tolerance=1e-4)


@register("function")
def solve(problem: TransportProblem, options: SolverOptions) -> Plan:
    """Solves a problem by the options; a pure function of tensors, for use inside graphs.

    Args:
        problem: What to solve.
        options: How.

    Returns:
        The plan; its `epsilon` is in units of the cost. One that no plan can satisfy is INFEASIBLE
        as `match` says; inside a graph, which cannot look, it is the best one reached,
        ITERATION_LIMIT.

    Example:
        >>> from idefn_tf.transport import SolverOptions, partial_problem, solve
        >>> plan = solve(partial_problem([[0.0, 1.0]], kappa=0.5), SolverOptions())
        >>> [round(float(share), 3) for share in plan.matched_fraction]
        [1.0, 0.0]
    """
    plan = _by_solver(problem, options)
    return _or_infeasible(plan) if tf.executing_eagerly() else plan


def _by_solver(problem: TransportProblem, options: SolverOptions) -> Plan:
    scale = cost_scale(problem.cost, problem.row_mask, problem.column_mask, options.scale)
    epsilon = as_type(options.epsilon, problem.cost.dtype) * scale
    tolerance, limit, steps = options.tolerance, options.max_iterations, options.steps
    if options.solver == "sinkhorn":
        return sinkhorn(problem, epsilon=epsilon, tolerance=tolerance, max_iterations=limit or 2000)
    if options.solver == "proximal_literal":
        sweeps = max(1, (limit or 0) // steps)
        return proximal_literal(
            problem, epsilon=epsilon, steps=steps, sweeps=sweeps, tolerance=tolerance
        )
    if options.solver == "greenkhorn":
        return greenkhorn(
            problem,
            epsilon=epsilon,
            tolerance=tolerance,
            max_iterations=limit or 20_000,
        )
    if options.solver == "exact":
        return exact(problem, tolerance=tolerance, max_iterations=limit or 10_000_000)
    return proximal(
        problem,
        epsilon=epsilon,
        steps=steps if options.solver == "proximal" else 1,
        scale=scale,
        tolerance=tolerance,
        max_iterations=limit or 300,
    )


@register("function")
def match(
    cost: Any,
    *,
    kappa: Any = None,
    marginals: Any = "proportion",
    solver: str = "proximal",
    epsilon: float | None = None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    tight: bool = False,
    options: SolverOptions | None = None,
    jit_compile: bool = True,
) -> Plan:
    """Matches positives to unclicked rows by partial optimal transport.

    Args:
        cost: Matrix of numbers [N_P, N_U], without the virtual row; float64 is solved as such, all
            else in float32, where costs below 1e-38 count as 0.
        kappa: Share of the unclicked rows' mass that may be matched (see `partial_problem`).
        marginals: "proportion", "literal", or a pair (row_mass [N_P], column_mass [N_U]).
        solver: One of `idefn_tf.transport.SOLVERS`.
        epsilon: Entropic weight relative to the cost's scale; None takes the default.
        tolerance: L1 marginal error allowed, as a share of the positives' mass.
        max_iterations: Most Newton steps or sweeps.
        tight: A sharper, more exact plan: twenty times the proximal steps, a tenth of the
            tolerance.
        options: Everything else; not together with `solver`, `epsilon`, ... of their own.
        jit_compile: Compile the solver with XLA. Shapes are padded to powers of two (8 x 128 at
            least), so a compilation (a second or two) comes only with a new size class.

    Returns:
        The plan; `plan.matrix` is [N_P + 1, N_U], the virtual row last. Where infinite costs leave
        no plan that carries the mass asked for, its status is INFEASIBLE, nothing is matched, and
        `plan.message` says how much can be. Inside a graph such a plan is the best one reached,
        ITERATION_LIMIT.

    Raises:
        ValueError: For arguments that contradict each other or lie out of range.

    Example:
        >>> from idefn_tf.transport import match
        >>> plan = match([[0.0, 1.0, 4.0]], kappa=1 / 3)  # one positive, three unclicked rows
        >>> [round(float(share), 3) for share in plan.matched_fraction], plan.message
        ([1.0, 0.0, 0.0], 'Both marginals hold within the tolerance.')
    """
    if options is None:
        base = TIGHT if tight else SolverOptions()
        options = dataclasses.replace(
            base,
            solver=solver,
            epsilon=base.epsilon if epsilon is None else epsilon,
            tolerance=base.tolerance if tolerance is None else tolerance,
            max_iterations=max_iterations,
        )
    elif (
        tight
        or solver != SolverOptions.solver
        or any(value is not None for value in (epsilon, tolerance, max_iterations))
    ):
        raise ValueError(
            "options: must be given alone, received single settings beside it; put them into it"
        )
    problem = partial_problem(cost, kappa=kappa, marginals=marginals)
    if options.solver == "exact" or not tf.executing_eagerly():
        return solve(problem, options)
    return _or_infeasible(_solved(problem, options, jit_compile))


def _solved(problem: TransportProblem, options: SolverOptions, jit_compile: bool) -> Plan:
    """The plan of a compiled or traced program, cut to the problem's own size."""
    plan: Plan
    if jit_compile:
        padded = _pad(problem)
        plan = _compiled(options, tf.nest.map_structure(tf.TensorSpec.from_tensor, padded))(padded)
    else:
        plan = _traced(options)(problem)
    rows, columns = problem.cost.shape
    pi = plan.transported
    if pi is not None:
        pi = tf.concat([pi[:rows], pi[-1:]], axis=0)[:, :columns]
    return plan._replace(
        problem=problem,
        potential=plan.potential[:rows],
        fine=plan.fine[:rows],
        transported=pi,
        fraction=None if plan.fraction is None else plan.fraction[:columns],
    )


def _or_infeasible(plan: Plan) -> Plan:
    """The plan, or the one that matches nothing where no plan can carry the rows' mass.

    A solver sees no more than that it does not converge. Looked up where it did not, and where
    pairs are forbidden, which alone can make a problem of sound masses infeasible.
    """
    problem = plan.problem
    if int(plan.status) != Status.ITERATION_LIMIT or not bool(
        tf.reduce_any(tf.math.is_inf(problem.cost))
    ):
        return plan
    if lacking_share(problem) <= _ROUNDING:
        return plan
    refusal = tf.constant(int(Status.INFEASIBLE))
    if plan.transported is not None:
        return finish_whole(
            problem, plan.transported, plan.epsilon, plan.epsilon, plan.iterations, refusal
        )
    none = tf.zeros_like(problem.row_mass)
    sums = none, tf.zeros_like(problem.column_mass)
    beta, limit = 1 / plan.epsilon, tf.constant(False)
    return finish(problem, (none, none), beta, limit, plan.iterations, refusal, sums)


@functools.lru_cache(maxsize=64)
def _traced(options: SolverOptions, jit_compile: bool = False) -> Any:
    def run(problem: TransportProblem) -> Plan:
        return _by_solver(problem, options)._replace(problem=cast(Any, None))  # the caller has it

    how = {"jit_compile": jit_compile, "autograph": False, "reduce_retracing": not jit_compile}
    return tf.function(run, **how)


@functools.lru_cache(maxsize=256)
def _compiled(options: SolverOptions, like: TransportProblem) -> Any:
    """The program of one size class, found by it: a call then need not compare signatures."""
    return _traced(options, jit_compile=True).get_concrete_function(like)


def _pad(problem: TransportProblem) -> TransportProblem:
    """Pads to the next powers of two, so that nearby sizes share one compiled program."""
    rows, columns = problem.cost.shape
    add_rows = _power_of_two(max(rows, LEAST_ROWS)) - rows
    add_columns = _power_of_two(max(columns, LEAST_COLUMNS)) - columns
    if not add_rows and not add_columns:
        return problem
    return problem._replace(
        cost=tf.pad(problem.cost, [[0, add_rows], [0, add_columns]]),
        row_mass=tf.pad(problem.row_mass, [[0, add_rows]]),
        column_mass=tf.pad(problem.column_mass, [[0, add_columns]]),
        row_mask=tf.pad(problem.row_mask, [[0, add_rows]]),
        column_mask=tf.pad(problem.column_mask, [[0, add_columns]]),
    )


def _power_of_two(size: int) -> int:
    return 1 << max(0, size - 1).bit_length()
