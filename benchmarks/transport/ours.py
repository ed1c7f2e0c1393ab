"""The transport benchmark's cells of idefn_tf; started by `benchmarks.transport`."""

from __future__ import annotations

import sys
import time
from typing import Any, cast

import tensorflow as tf

from benchmarks.transport import cells
from idefn_tf.transport import Plan, exact, partial_problem, proximal, sinkhorn

#: Our tolerance is a share of kappa and of the rows' error alone; the judge counts both sides.
TOLERANCE = cells.STOP / (2 * cells.KAPPA)


def program(solver: str) -> tf.types.experimental.PolymorphicFunction:
    """One solver as a function of cost and epsilon; the plan leaves its problem behind."""

    def solve(cost: tf.Tensor, epsilon: tf.Tensor) -> Plan:
        problem = partial_problem(cost, kappa=cells.KAPPA)
        if solver == "exact":
            plan = exact(problem, tolerance=TOLERANCE)
        elif solver == "sinkhorn":
            plan = sinkhorn(problem, epsilon=epsilon, tolerance=TOLERANCE, max_iterations=20_000)
        else:
            plan = proximal(problem, epsilon=epsilon, tolerance=TOLERANCE)
        return plan._replace(problem=cast(Any, None), fraction=plan.matched_fraction)

    return tf.function(solve, jit_compile=solver != "exact" or None, autograph=False)


def main(solver: str) -> None:
    """Solves every cell by one solver of `idefn_tf.transport`."""
    for rows, columns in cells.SHAPES:
        cost = cells.problem(rows, columns)
        given = tf.constant(cost)
        start = time.perf_counter()
        solve = program(solver).get_concrete_function(  # as `match` calls its programs
            tf.TensorSpec.from_tensor(given), tf.TensorSpec([], tf.float32)
        )
        for turn, epsilon in enumerate(cells.EPSILONS if solver != "exact" else (0.0,)):
            weight = tf.constant(epsilon or 1.0)

            def run(weight: tf.Tensor = weight, solve: Any = solve, given: Any = given) -> Plan:
                plan = solve(given, weight)
                plan.fraction.numpy()
                return plan

            plan = run()
            first = time.perf_counter() - start  # read at the first turn alone
            times = cells.measure(run)
            peak = cells.peak_mib()  # before the matrix, which only the judge wants
            whole = plan._replace(problem=partial_problem(given, kappa=cells.KAPPA)).matrix
            facts = cells.plan_metrics(whole.numpy(), cost)
            cells.tell(
                rows=rows,
                columns=columns,
                epsilon=epsilon,
                first_ms=None if turn else first * 1000,
                status=int(plan.status),
                iterations=int(plan.iterations),
                peak_mib=peak,
                **times,
                **facts,
            )
            del plan, whole


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(2)
    main(sys.argv[1])
