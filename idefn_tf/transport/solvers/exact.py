"""The exact plan by POT's network simplex: for studies on CPU and as the tests' oracle.

At batch shapes (64 x 2048) it takes 3-20 ms, so it is a usable mode there; it runs outside the
graph through `tf.numpy_function` and cannot be compiled by XLA.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.transport.full_problem import finish_whole
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, as_type
from idefn_tf.transport.solvers.finish import refuse
from idefn_tf.transport.status import Status


def exact(
    problem: TransportProblem, *, tolerance: float = 1e-3, max_iterations: int = 10_000_000
) -> Plan:
    """Solves the linear program itself: min <pi, M> under both marginals.

    Args:
        problem: What to solve; solved in float64 whatever its type.
        tolerance: Largest L1 marginal error as a share of the positives' mass; the simplex is
            exact, so this only guards against a simplex that stopped early.
        max_iterations: Most simplex pivots.

    Returns:
        The plan as a matrix, epsilon 0. Where several plans cost the same, one of them.

    Raises:
        ImportError: If POT is not installed.

    Example:
        >>> from idefn_tf.transport import exact, partial_problem
        >>> plan = exact(partial_problem([[0.0, 1.0]], kappa=0.5))
        >>> plan.matrix.numpy().round(4).tolist()  # the nearer row, then what the virtual row fills
        [[0.5, 0.0], [0.0, 0.5]]
    """
    emd = _emd()
    dtype = problem.cost.dtype
    one = tf.ones([], dtype)
    refusal = refuse(problem, one)

    def run(
        cost: np.ndarray,
        rows: np.ndarray,
        columns: np.ndarray,
        virtual_cost: np.ndarray,
        refusal: np.ndarray,
    ) -> tuple[np.ndarray, np.int32]:
        plan = np.zeros((rows.size + 1, columns.size))
        status = int(refusal)
        if status == Status.CONVERGED:
            status = _simplex(emd, plan, cost, rows, columns, float(virtual_cost), max_iterations)
        return plan.astype(cost.dtype), np.int32(status)

    pi, refusal = tf.numpy_function(
        run,
        [problem.cost, problem.row_mass, problem.column_mass, problem.virtual_cost, refusal],
        [dtype, tf.int32],
        stateful=False,
    )
    rows, columns = problem.cost.shape
    pi = tf.ensure_shape(pi, [None if rows is None else rows + 1, columns])
    refusal = tf.ensure_shape(refusal, [])
    zero = tf.zeros([], dtype)
    return finish_whole(
        problem, pi, zero, as_type(tolerance, dtype), tf.constant(0), tf.cast(refusal, tf.int32)
    )


def _simplex(
    emd: Any,
    plan: np.ndarray,
    cost: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    virtual_cost: float,
    max_iterations: int,
) -> int:
    """Fills `plan` and returns a status; rows and columns without mass are left out."""
    a, b = rows.astype(np.float64), columns.astype(np.float64)
    keep_rows, keep_columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    real = cost.astype(np.float64)[np.ix_(keep_rows, keep_columns)]
    forbidden = np.isposinf(real)
    real = real - np.where(forbidden, np.inf, real).min(axis=1, keepdims=True)
    # The simplex compares with absolute tolerances: costs near 1 suit it, whatever their unit was.
    allowed = np.where(forbidden, 0.0, real)
    unit = allowed.mean() or 1.0
    real, allowed, virtual_cost = real / unit, allowed / unit, virtual_cost / unit
    # A forbidden pair costs more than any plan of allowed ones.
    real = np.where(forbidden, (allowed.max() + 1.0) * 10.0 * len(keep_columns), real)
    whole = np.vstack([real, np.full(keep_columns.size, virtual_cost)])
    b = b[keep_columns]
    a = a[keep_rows]
    a *= min(1.0, b.sum() / a.sum())
    a = np.append(a, max(0.0, b.sum() - a.sum()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the log's code says the same
        found, log = emd(a, b * (a.sum() / b.sum()), whole, numItermax=max_iterations, log=True)
    if (found[:-1] * forbidden).sum() > 1e-9 * a[:-1].sum():
        return Status.INFEASIBLE
    plan[np.ix_(keep_rows, keep_columns)] = found[:-1]
    plan[-1, keep_columns] = found[-1]
    return Status.CONVERGED if log["warning"] is None else Status.ITERATION_LIMIT


def _emd() -> Any:
    try:
        from ot import emd
    except ImportError as error:
        raise ImportError(
            'solver="exact" needs POT; install it with: pip install "idefn-tf[transport-exact]"'
        ) from error
    return emd
