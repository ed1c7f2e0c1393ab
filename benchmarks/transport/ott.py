"""The transport benchmark's cells of OTT-JAX, run by a Python that has it; see the parent."""

from __future__ import annotations

import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry.geometry import Geometry
from ott.problems.linear.linear_problem import LinearProblem
from ott.solvers.linear.sinkhorn import Sinkhorn

from benchmarks.transport import cells


def main(mode: str) -> None:
    """Solves every cell in "lse" or "kernel" mode, float32, compiled once per shape."""
    solver = Sinkhorn(
        lse_mode=mode == "lse", threshold=cells.STOP, max_iterations=20_000, inner_iterations=10
    )

    @jax.jit
    def solve(cost: Any, a: Any, b: Any, epsilon: Any) -> Any:
        return solver(LinearProblem(Geometry(cost_matrix=cost, epsilon=epsilon), a=a, b=b))

    for rows, columns in cells.SHAPES:
        cost = cells.problem(rows, columns)
        a, b = (jnp.asarray(mass, jnp.float32) for mass in cells.masses(rows, columns))
        whole = jnp.asarray(np.vstack([cost, np.zeros((1, columns), np.float32)]))
        compiled = False
        for epsilon in cells.EPSILONS:

            def run(epsilon: float = epsilon, whole: Any = whole, a: Any = a, b: Any = b) -> Any:
                out = solve(whole, a, b, jnp.float32(epsilon))
                jax.block_until_ready((out.f, out.g))
                return out

            start = time.perf_counter()
            out = run()
            first = time.perf_counter() - start
            times = cells.measure(run)
            peak = cells.peak_mib()
            facts = cells.plan_metrics(np.asarray(out.matrix), cost)
            cells.tell(
                rows=rows,
                columns=columns,
                epsilon=epsilon,
                first_ms=None if compiled else first * 1000,
                iterations=int(out.n_iters),
                peak_mib=peak,
                **times,
                **facts,
            )
            compiled = True


if __name__ == "__main__":
    main(sys.argv[1])
