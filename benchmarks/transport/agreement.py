"""Do the default and the tight plan label the columns that the exact plan labels?

Started by `benchmarks.transport`; one line of JSON per problem. Where kappa N_U >= N_P the exact
plan's argmax fires, and the share of its labelled columns that ours labels too is told; everywhere
the overlap of the two top-k sets (k = kappa N_U columns by matched fraction) is.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ot
import tensorflow as tf

from benchmarks.transport import cells
from idefn_tf.transport import TIGHT, SolverOptions
from idefn_tf.transport.match import solve
from idefn_tf.transport.problem import partial_problem

#: Rows, columns, kappa.
PROBLEMS = (
    (16, 2048, 0.02),
    (64, 2048, 0.05),
    (60, 2000, 0.3),
    (64, 16384, 0.02),
    (64, 2048, 0.02),
    (512, 2048, 0.02),
)
SEEDS = 2
OPTIONS = {"default": SolverOptions(), "tight": TIGHT}


def top(fraction: np.ndarray, count: int) -> set[int]:
    """The columns with the largest matched fraction."""
    return set(np.argsort(-fraction, kind="stable")[:count].tolist())


def _read(plan: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    return plan.argmax, plan.matched_fraction, plan.status


PROGRAMS = {
    how: tf.function(
        lambda cost, kappa, o=options: _read(solve(partial_problem(cost, kappa=kappa), o)),
        jit_compile=True,
        autograph=False,
    )
    for how, options in OPTIONS.items()
}


def compare(name: str, rows: int, columns: int, kappa: float) -> dict[str, Any]:
    """Agreement and times over a few draws of one problem; programs are compiled per shape."""
    labelled, count = 0, int(kappa * columns + 1e-3)
    alike, overlap = dict.fromkeys(OPTIONS, 0), dict.fromkeys(OPTIONS, 0)
    times: dict[str, list[float]] = {"emd": [], **{how: [] for how in OPTIONS}}
    converged = True
    draws = 1 if columns > 10_000 else SEEDS
    for seed in range(draws):
        cost = cells.CLOUDS[name](rows, columns, seed)
        a, b = cells.masses(rows, columns, kappa)
        whole = np.vstack([cost.astype(np.float64), np.zeros(columns)])
        start = time.perf_counter()
        best = ot.emd(a, b, whole, numItermax=10**8)
        times["emd"].append((time.perf_counter() - start) * 1000)
        chosen = best[:-1].max(0) > best[-1] + 1e-12
        fraction = best[:-1].sum(0) * columns
        labelled += int(chosen.sum())
        given = tf.constant(cost), tf.constant(kappa)
        for how, program in PROGRAMS.items():
            found = [part.numpy() for part in program(*given)]
            for _ in range(3):
                start = time.perf_counter()
                found = [part.numpy() for part in program(*given)]
                times[how].append((time.perf_counter() - start) * 1000)
            argmax, ours, status = found
            alike[how] += int((argmax[chosen] >= 0).sum())
            overlap[how] += len(top(ours, count) & top(fraction, count))
            converged &= bool(status == 0)
    return {
        "cloud": name,
        "rows": rows,
        "columns": columns,
        "kappa": kappa,
        "fires": kappa * columns >= rows,
        "labelled": labelled,
        "alike": {how: alike[how] / labelled if labelled else None for how in OPTIONS},
        "top_k_overlap": {how: overlap[how] / (draws * count) for how in OPTIONS},
        "ms": {who: float(np.median(all_times)) for who, all_times in times.items()},
        "converged": converged,
    }


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(2)
    for cloud in cells.CLOUDS:
        for shape in PROBLEMS:
            cells.tell(**compare(cloud, *shape))
