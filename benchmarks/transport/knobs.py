"""Pictures for the page "Choose epsilon and kappa": what both knobs do, on made problems.

    python -m benchmarks.transport.knobs

Writes docs/images/epsilon.png, kappa.png and theorem.png, and the numbers they show to
benchmarks/results/transport/transport_knobs.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import ot
import tensorflow as tf

from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.transport import cells
from idefn_tf._files import atomic_path, write_json
from idefn_tf.transport import SolverOptions, match, partial_problem, relabel
from idefn_tf.transport.full_problem import whole
from idefn_tf.transport.match import solve
from idefn_tf.transport.reference.proximal_loop import first_plan, proximal_step
from serving.common.command_line import command_parser

#: A batch like KuaiRand's: positives and unclicked rows.
BATCH = (30, 1100)
SHARP = (1, 3, 10, 30, 100, 300, 1000, 3000)
KAPPAS = (0.002, 0.004, 0.008, 0.016, 0.027, 0.04, 0.06, 0.1)


def epsilon_study(cloud: str, seeds: int) -> list[dict[str, Any]]:
    """How sharpness decides which columns are labelled, at kappa N_U = 2 N_P."""
    rows, columns = BATCH
    kappa = 2 * rows / columns
    found = []
    for steps in SHARP:
        sums = dict.fromkeys(("labelled", "alike", "best_share", "overlap", "iterations"), 0.0)
        for seed in range(seeds):
            cost = cells.CLOUDS[cloud](rows, columns, seed)
            a, b = cells.masses(rows, columns, kappa)
            best = ot.emd(a, b, np.vstack([cost.astype(np.float64), np.zeros(columns)]))
            exact = best[:-1].max(0) > best[-1] + 1e-12
            options = SolverOptions(epsilon=0.05, steps=steps)
            plan = match(cost, kappa=kappa, options=options)
            ours = plan.argmax.numpy() >= 0
            count = int(kappa * columns)
            order = np.argsort(-plan.matched_fraction.numpy(), kind="stable")[:count]
            share = plan.real_rows.numpy() / plan.problem.row_mass.numpy()[:, None]
            sums["labelled"] += ours.sum() / exact.sum()
            sums["alike"] += (ours & exact).sum() / exact.sum()
            sums["best_share"] += share.max(1).mean()
            sums["overlap"] += best[:-1].sum(0)[order].sum() / kappa
            sums["iterations"] += int(plan.iterations)
        found.append({"epsilon": 0.05 / steps, **{k: v / seeds for k, v in sums.items()}})
    return found


def kappa_study(cloud: str, seeds: int) -> list[dict[str, Any]]:
    """How many columns each rule labels as kappa grows, default epsilon."""
    rows, columns = BATCH
    rules = ("argmax", "matched_fraction", "top_k")

    @tf.function(jit_compile=True, autograph=False)
    def labels(cost: tf.Tensor, kappa: tf.Tensor) -> tf.Tensor:
        plan = solve(partial_problem(cost, kappa=kappa), SolverOptions())
        return tf.stack([tf.reduce_sum(relabel.relabel(plan, rule)) for rule in rules])

    found = []
    for kappa in KAPPAS:
        counts = np.mean(
            [
                labels(tf.constant(cells.CLOUDS[cloud](rows, columns, s)), tf.constant(kappa))
                for s in range(seeds)
            ],
            axis=0,
        )
        found.append({"kappa": kappa, **dict(zip(rules, counts.tolist(), strict=True))})
    return found


def theorem_study(epsilon: float, steps: int) -> list[dict[str, float]]:
    """Distance from the exact plan after every step of Eq. 6, eta of Eq. 11, bound of Eq. 12."""
    cost = np.random.default_rng(1).random((6, 40))
    kappa = 0.3
    a, b = cells.masses(6, 40, kappa)
    best = ot.emd(a, b, np.vstack([cost, np.zeros(40)]))
    asked = whole(partial_problem(cost, kappa=kappa))
    kernel = tf.exp(-asked.cost / epsilon)
    prices, held = asked.cost.numpy(), best > 0
    step = tf.function(
        lambda pi: proximal_step(asked, kernel, pi, 1_000_000, tf.constant(1e-10, tf.float64))[0],
        jit_compile=True,
    )

    def distance(plan: np.ndarray) -> float:
        return float((best[held] * np.log(best[held] / plan[held])).sum())

    pi = first_plan(asked)
    found = [{"distance": distance(pi.numpy())}]
    for _ in range(steps):
        pi = step(pi)
        now = distance(pi.numpy())
        if now < 1e-7:
            break
        eta = float(((pi.numpy() - best) * prices).sum()) / now
        bound = found[-1]["distance"] / (1 + eta / epsilon)
        found.append({"distance": now, "eta": eta, "bound": bound})
    return found


def draw(found: dict[str, Any], folder: Path) -> None:
    """The three pictures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows, columns = BATCH
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.8))
    for cloud, points in found["epsilon"].items():
        x = [p["epsilon"] for p in points]
        axes[0].plot(x, [p["alike"] for p in points], marker="o", label=cloud)
        axes[1].plot(x, [p["best_share"] for p in points], marker="o", label=cloud)
    axes[0].set_ylabel("exact argmax labels reproduced")
    axes[1].set_ylabel("mass in a positive's best row")
    for axis in axes:
        axis.axvline(0.05 / 500, color="grey", linestyle=":", label="default")
        axis.set(xscale="log", xlabel="epsilon / steps", ylim=(-0.02, 1.02))
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(f"{rows} positives, {columns} unclicked rows, kappa N_U = 2 N_P")
    _save(figure, folder / "epsilon.png")

    figure, axes = pyplot.subplots(1, len(found["kappa"]), figsize=(12, 3.6), sharey=True)
    for axis, (cloud, points) in zip(axes, found["kappa"].items(), strict=True):
        for rule in ("argmax", "matched_fraction", "top_k"):
            axis.plot([p["kappa"] for p in points], [p[rule] for p in points], "o-", label=rule)
        axis.axvline(rows / columns, color="grey", linestyle=":", label="kappa N_U = N_P")
        axis.set(xscale="log", xlabel="kappa", title=cloud)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("unclicked rows labelled")
    axes[0].legend()
    _save(figure, folder / "kappa.png")

    figure, axis = pyplot.subplots(figsize=(6, 3.8))
    for epsilon, points in found["theorem"].items():
        (line,) = axis.plot([p["distance"] for p in points], "o-", label=f"epsilon {epsilon}")
        bounds = [p["bound"] for p in points[1:]]
        axis.plot(range(1, len(points)), bounds, ":", color=line.get_color())
    axis.set(yscale="log", xlabel="proximal step", ylabel="KL from the exact plan")
    axis.set_title("Theorem 1: distance (dots) and bound of Eq. 12 (dotted)")
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, folder / "theorem.png")


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    with atomic_path(path) as sibling:
        figure.savefig(sibling, dpi=100)
    pyplot.close(figure)


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.transport.knobs", __doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/transport/transport_knobs.json")
    )
    given = parser.parse_args()
    found = {
        "command": "python -m benchmarks.transport.knobs",
        "machine": machine_facts(),
        "code": code_fingerprint("idefn_tf"),
        "batch": list(BATCH),
        "epsilon": {cloud: epsilon_study(cloud, given.seeds) for cloud in cells.CLOUDS},
        "kappa": {cloud: kappa_study(cloud, given.seeds) for cloud in cells.CLOUDS},
        "theorem": {str(e): theorem_study(e, 40) for e in (0.1, 0.3, 1.0)},
    }
    write_json(given.out, found)
    draw(found, given.images)


if __name__ == "__main__":
    main()
