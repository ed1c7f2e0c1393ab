"""The transport benchmark's cells of POT; started by `benchmarks.transport`.

POT's solvers stop by norms of their own. Each gets the loosest power of ten at which the judge
passes the result, so that nobody pays for digits that were not asked for.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import ot

from benchmarks.transport import cells

LIMIT = 100_000


def solver_of(name: str, cost: np.ndarray, epsilon: float) -> Callable[[float], np.ndarray]:
    """A function of the stopping threshold that returns the whole plan."""
    a, b = cells.masses(*cost.shape)
    real = cost.astype(np.float64)
    whole = np.vstack([real, np.zeros(b.size)])

    def sinkhorn(stop: float) -> np.ndarray:
        return ot.sinkhorn(a, b, whole, epsilon, method=name, stopThr=stop, numItermax=LIMIT)

    def greenkhorn(stop: float) -> np.ndarray:
        return ot.bregman.greenkhorn(a, b, whole, epsilon, stopThr=stop, numItermax=LIMIT)

    def partial(stop: float) -> np.ndarray:
        plan = ot.partial.entropic_partial_wasserstein(
            a[:-1], b, real, epsilon, m=cells.KAPPA, stopThr=stop, numItermax=LIMIT
        )
        return np.vstack([plan, b - plan.sum(0)])

    def exact(_: float) -> np.ndarray:
        return ot.emd(a, b, whole, numItermax=10**8)

    known = {"emd": exact, "greenkhorn": greenkhorn, "entropic_partial": partial}
    return known.get(name, sinkhorn)


def main(name: str) -> None:
    """Solves every cell by one solver of POT."""
    warnings.simplefilter("ignore")  # the judge says who has converged
    np.seterr(all="ignore")
    for rows, columns in cells.SHAPES:
        cost = cells.problem(rows, columns)
        for epsilon in cells.EPSILONS if name != "emd" else (0.0,):
            solve = solver_of(name, cost, epsilon)
            for stop in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
                start = time.perf_counter()
                matrix = solve(stop)
                first = time.perf_counter() - start
                facts = cells.plan_metrics(matrix, cost)
                if name == "emd" or facts["error"] is None or facts["error"] <= cells.PASSES:
                    break
            times = cells.measure(lambda s=solve, t=stop: s(t))  # type: ignore[misc]
            cells.tell(
                rows=rows,
                columns=columns,
                epsilon=epsilon,
                first_ms=first * 1000,
                threshold=stop,
                peak_mib=cells.peak_mib(),
                **times,
                **facts,
            )


if __name__ == "__main__":
    main(sys.argv[1])
