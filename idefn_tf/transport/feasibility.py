"""Maximum flow: how much of the rows' mass the allowed pairs can carry at all.

Where costs are infinite a problem may have no plan though its masses add up: rows compete for the
few columns that they may be matched to. Rows (and columns) that may be matched to the same others
count as one, so that the graph is small; the flow is raised along shortest paths.

Source: Edmonds and Karp, "Theoretical Improvements in Algorithmic Efficiency for Network Flow
Problems", J. ACM 19(2), 1972, https://doi.org/10.1145/321694.321699
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from idefn_tf.transport.problem import TransportProblem

#: More paths than this are not looked for: the answer is then "not known".
MOST_PATHS = 5_000

Vector = NDArray[np.float64]


def reachable_mass(problem: TransportProblem) -> float | None:
    """The most mass that any plan can move from the real rows, at the host.

    Args:
        problem: What was asked, as eager tensors.

    Returns:
        At most the rows' mass; None where a cost or mass is not sound, or the answer takes too
        long.
    """
    cost, rows, columns = (
        np.asarray(t) for t in (problem.cost, problem.row_mass, problem.column_mass)
    )
    rows, columns = rows.astype(np.float64), columns.astype(np.float64)
    keep_rows, keep_columns = rows != 0, columns != 0
    allowed = np.isfinite(cost)[np.ix_(keep_rows, keep_columns)]
    rows, columns = rows[keep_rows], columns[keep_columns]
    used = cost[np.ix_(keep_rows, keep_columns)]
    sound = not (np.isnan(used) | np.isneginf(used)).any()
    masses = np.concatenate([rows, columns])
    if not sound or not np.isfinite(masses).all() or (masses < 0).any():
        return None
    if not allowed.any():
        return 0.0
    allowed, rows = _merged(allowed, rows)
    turned, columns = _merged(allowed.T, columns)
    return _flow(turned.T, rows, columns)


def lacking_share(problem: TransportProblem) -> float:
    """The share of the rows' mass that no plan can move; 0 where that is not known."""
    asked = float(np.sum(np.asarray(problem.row_mass, np.float64)))
    reached = reachable_mass(problem)
    return 0.0 if reached is None or asked <= 0 else max(0.0, 1.0 - reached / asked)


def _merged(allowed: NDArray[np.bool_], mass: Vector) -> tuple[NDArray[np.bool_], Vector]:
    """One row for all that may be matched to the same columns, with their whole mass."""
    patterns, which = np.unique(allowed, axis=0, return_inverse=True)
    summed: Vector = np.zeros(len(patterns))
    np.add.at(summed, which.reshape(-1), mass)
    return patterns, summed


def _flow(allowed: NDArray[np.bool_], rows: Vector, columns: Vector) -> float | None:
    nothing = 1e-12 * (rows.sum() + columns.sum())
    flow = np.zeros(allowed.shape)
    rows, columns = rows.copy(), columns.copy()
    for _ in range(MOST_PATHS):
        path = _shortest_path(allowed, flow > nothing, rows > nothing, columns > nothing)
        if path is None:
            return float(flow.sum())
        taken, given = path[0::2], path[1::2]  # rows and columns in turn
        back = [flow[row, column] for row, column in zip(taken[1:], given[:-1], strict=True)]
        amount = min(rows[taken[0]], columns[given[-1]], *back)
        rows[taken[0]] -= amount
        columns[given[-1]] -= amount
        flow[taken, given] += amount
        flow[taken[1:], given[:-1]] -= amount
    return None


def _shortest_path(
    allowed: NDArray[np.bool_],
    carries: NDArray[np.bool_],
    waiting: NDArray[np.bool_],
    free: NDArray[np.bool_],
) -> list[int] | None:
    """Row, column, row, ..., column from a row with mass left to a column with room left."""
    from_row = np.full(allowed.shape[1], -1)  # the row before each column
    from_column = np.where(waiting, -1, -2)  # the column before each row; -2: not reached
    frontier = np.flatnonzero(waiting)
    while frontier.size:
        new = allowed[frontier].any(axis=0) & (from_row < 0)
        reached = np.flatnonzero(new)
        if not reached.size:
            return None
        from_row[reached] = frontier[allowed[np.ix_(frontier, reached)].argmax(axis=0)]
        ends = np.flatnonzero(new & free)
        if ends.size:
            path = [int(ends[0])]
            while True:
                row = int(from_row[path[0]])
                path.insert(0, row)
                if from_column[row] < 0:
                    return path
                path.insert(0, int(from_column[row]))
        back = carries[:, reached].any(axis=1) & (from_column == -2)
        frontier = np.flatnonzero(back)
        from_column[frontier] = reached[carries[np.ix_(frontier, reached)].argmax(axis=1)]
    return None
