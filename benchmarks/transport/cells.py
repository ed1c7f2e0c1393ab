"""The transport benchmark's problems, judge and clock; NumPy alone, so that every rival reads them.

A problem is the paper's: P positives, U unclicked rows, squared Euclidean cost in units of its
mean, each positive with mass kappa / P, the virtual row (cost 0) with 1 - kappa, columns 1 / U.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

KAPPA = 0.02
SHAPES = ((1, 2048), (16, 2048), (64, 2048), (64, 16384), (256, 16384), (1024, 65536))
EPSILONS = (0.1, 0.05, 0.01, 0.001)
#: L1 error of both marginals together at which everyone stops (the plan's whole mass is 1).
STOP = 1e-5
#: A result counts as converged up to this: float32 sums and other rules of stopping take the rest.
PASSES = 2e-5
WIDTH = 16
TABLES = (20_000, 7000, 5000, 1000, 300, 100, 50, 20, 10, 5)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, float32 [P, U]."""
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.maximum(squares, 0).astype(np.float32)


def ids(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Costs between concatenated embeddings of Zipf ids: ten fields of width 16, as in a batch."""
    rng = np.random.default_rng(seed)
    tables = [rng.normal(size=(count, WIDTH)).astype(np.float32) for count in TABLES]

    def draw(count: int) -> np.ndarray:
        parts = []
        for table in tables:
            weight = 1 / np.arange(1, len(table) + 1)
            parts.append(table[rng.choice(len(table), count, p=weight / weight.sum())])
        return np.concatenate(parts, axis=1)

    return distances(draw(rows), draw(columns))


def gaussian(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Costs between Gaussian vectors of width 160: everything is about equally far."""
    rng = np.random.default_rng(seed)
    return distances(rng.normal(size=(rows, 160)), rng.normal(size=(columns, 160)))


def clustered(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Costs where positives crowd into a third of twelve clusters, so that columns fill up."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 160))
    x = centres[rng.integers(0, 4, rows)] + rng.normal(size=(rows, 160)) / 2
    y = centres[rng.integers(0, 12, columns)] + rng.normal(size=(columns, 160)) / 2
    return distances(x, y)


CLOUDS: dict[str, Callable[..., np.ndarray]] = {
    "ids": ids,
    "gaussian": gaussian,
    "clustered": clustered,
}


def problem(rows: int, columns: int) -> np.ndarray:
    """The timed problem's cost in units of its mean."""
    cost = ids(rows, columns)
    return cost / cost.mean(dtype=np.float64).astype(np.float32)


def masses(rows: int, columns: int, kappa: float = KAPPA) -> tuple[np.ndarray, np.ndarray]:
    """Row masses with the virtual row last, and column masses, float64."""
    return np.append(np.full(rows, kappa / rows), 1 - kappa), np.full(columns, 1 / columns)


def plan_metrics(matrix: np.ndarray, cost: np.ndarray) -> dict[str, float | None]:
    """L1 error of both marginals and transport cost of a whole plan, in float64, row by row.

    Args:
        matrix: plan [P + 1, U], the virtual row last.
        cost: [P, U].

    Returns:
        {"error", "cost"}; None where a plan is not finite.
    """
    a, b = masses(*cost.shape)
    columns, error, paid = np.zeros(b.size), 0.0, 0.0
    for i, row in enumerate(matrix):
        row = np.asarray(row, np.float64)
        columns += row
        error += abs(row.sum() - a[i])
        if i < len(cost):
            paid += float(row @ cost[i])
    whole = float(error + np.abs(columns - b).sum())
    finite = np.isfinite(whole)
    return {"error": whole if finite else None, "cost": paid if np.isfinite(paid) else None}


def measure(run: Callable[[], Any]) -> dict[str, float]:
    """Repeats a solve that has been called once; milliseconds.

    Slow ones run once more, fast ones for about half a second.
    """
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 50 and (not times or time.perf_counter() - began < 0.5):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return {"ms": float(np.median(times)), "best_ms": min(times), "runs": len(times)}


def peak_mib() -> int:
    """The most memory that this process ever held."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def tell(**facts: Any) -> None:
    """Reports one finished cell to the parent process."""
    print(json.dumps(facts), flush=True)
