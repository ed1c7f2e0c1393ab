"""How often the interval of an off-policy estimate holds the value, by the rewards it rests on.

    python -m benchmarks.policy.interval_coverage --work WORK

Weights are those of the Open Bandit sample's logs (`benchmarks.policy.open_bandit run` writes them
to WORK). Rewards are drawn anew, alike for every row, so that the value is known: their share is
set so that the effective rows hold 1, 3, 10, 30 or 100 of them. Counted is how often 95 % of the
bootstrap's draws of rows hold the value, and how often they lie below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.machine import machine_facts
from benchmarks.policy.open_bandit import RESULTS
from idefn_tf._files import write_json
from idefn_tf.evaluation import effective_sample_size, importance_weights
from serving.common.command_line import command_parser

REWARDS = (1, 3, 10, 30, 100)
LOGS, DRAWS = 300, 400


def coverage(weight: NDArray[np.float64], rewards: float, seed: int = 0) -> dict[str, float]:
    """Shares of logs whose interval of SNIPS holds the value, and lies below it.

    Args:
        weight: of a log's rows.
        rewards: how many the effective rows hold in expectation.
        seed: of rewards and draws.
    """
    rng = np.random.default_rng(seed)
    rows = weight.size
    value = rewards / effective_sample_size(weight)
    draws = rng.multinomial(rows, np.full(rows, 1 / rows), size=DRAWS).astype(np.float64)
    mass, inside, below = draws @ weight, 0, 0
    for _ in range(LOGS):
        earned = draws @ (weight * (rng.random(rows) < value))
        low, high = np.quantile(earned / mass, [0.025, 0.975])
        inside += bool(low <= value <= high)
        below += bool(high < value)
    return {"share": value, "holds": inside / LOGS, "below": below / LOGS}


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = command_parser("benchmarks.policy.interval_coverage", __doc__)
    parser.add_argument("--work", type=Path, required=True, help="what open_bandit run wrote")
    parser.add_argument("--out", type=Path, default=RESULTS, help="for the page")
    args = parser.parse_args(argv)
    found: dict[str, dict[int, dict[str, float]]] = {}
    lines = [
        f"| weights of | {' | '.join(f'{count} rewards' for count in REWARDS)} |",
        f"|---|{'---:|' * len(REWARDS)}",
    ]
    for path in sorted(args.work.glob("*.npz")):
        case = np.load(path)
        weight = importance_weights(case["target"][case["action"]], case["exposure"])
        fits = [count for count in REWARDS if count < effective_sample_size(weight)]
        found[path.stem] = {count: coverage(weight, count) for count in fits}
        cells = [f"{one['holds']:.2f} ({one['below']:.2f})" for one in found[path.stem].values()]
        cells += [""] * (len(REWARDS) - len(cells))
        lines.append(f"| {path.stem.replace('-', ', ')} | {' | '.join(cells)} |")
    args.out.mkdir(parents=True, exist_ok=True)
    whole = {"machine": machine_facts(("numpy",)), "logs": LOGS, "draws": DRAWS, "found": found}
    write_json(args.out / "interval_coverage.json", whole)
    (args.out / "interval_coverage_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
