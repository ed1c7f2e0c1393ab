"""The study's table: AUCs over seeds, and paired differences over users and items.

Draws of the bootstrap are over users, widened by what items add (`idefn_tf.evaluation.resampling`);
seeds are drawn too. Both sides of a difference meet the same draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.paper.bootstrap import Ranking
from idefn_tf.evaluation.resampling import WAYS, resample_ways, widened

RESULTS = Path(__file__).parents[1] / "results" / "history"
SPACES = ("all_raw", "all_funnel", "clicked")
DRAWS = 300
Truth = Mapping[str, np.ndarray]


def select(truth: Truth, space: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns a space's rows and their labels."""
    if space == "clicked":
        rows = truth["click"] == 1
        return rows, truth["conversion"][rows]
    return np.ones(len(truth["click"]), bool), truth[
        "conversion_raw" if space == "all_raw" else "conversion"
    ]


def load(work: Path, part: str) -> dict[str, dict[int, np.ndarray]]:
    """Returns the CVR scores by row of the table and seed."""
    found: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for path in sorted((work / "scores").glob("*.npz")):
        name, _, seed = path.stem.rpartition("-")
        found[name][int(seed)] = np.load(path)[f"{part}_cvr"]
    return found


def auc(label: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Returns the AUC."""
    return Ranking(label, score).auc(np.ones(len(label)) if weight is None else weight)


def difference(
    first: Mapping[int, np.ndarray],
    second: Mapping[int, np.ndarray],
    label: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    draws: int = DRAWS,
) -> tuple[float, float, float]:
    """Returns the mean difference of AUCs and its 95 % interval."""
    seeds = sorted(set(first) & set(second))
    pairs = {s: (Ranking(label, first[s]), Ranking(label, second[s])) for s in seeds}
    ones = np.ones(len(label))
    mean = float(np.mean([a.auc(ones) - b.auc(ones) for a, b in pairs.values()]))
    drawn = np.random.default_rng(0).integers(len(seeds), size=draws)
    found = np.empty((len(WAYS), draws))
    for way, draw, weight in resample_ways(users, items, len(label), draws, 0):
        a, b = pairs[seeds[drawn[draw]]]
        found[way, draw] = a.auc(weight) - b.auc(weight)
    low, high = np.quantile(widened(found), [0.025, 0.975])
    return mean, float(low), float(high)


def write_table(work: Path, validation: Truth, test: Truth) -> None:
    """Writes the table and the differences as Markdown."""
    scores = {"validation": load(work, "validation"), "test": load(work, "test")}
    lines = [
        "| history, method, encoder | seeds | validation all_funnel "
        "| test all_raw | test all_funnel | test clicked |",
        "|---|---|---|---|---|---|",
    ]
    for name, by_seed in scores["test"].items():
        rows, label = select(validation, "all_funnel")
        cells = [_spread([auc(label, s[rows]) for s in scores["validation"][name].values()])]
        for space in SPACES:
            rows, label = select(test, space)
            cells.append(_spread([auc(label, s[rows]) for s in by_seed.values()]))
        lines.append(f"| {name.replace('-', ', ')} | {len(by_seed)} | {' | '.join(cells)} |")
    lines += ["", "| difference, test all_raw | mean | 95 % interval |", "|---|---|---|"]
    rows, label = select(test, "all_raw")
    found = scores["test"]
    reference = found.get("aggregates-boosting-none", {})
    for name in found:
        if "boosting" in name or not reference:
            continue
        mean, low, high = difference(
            found[name], reference, label, test["user_id"], test["video_id"]
        )
        row = name.replace("-", ", ")
        lines.append(f"| {row} minus boosting | {mean:+.4f} | {low:+.4f} .. {high:+.4f} |")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "kuairand_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _spread(values: list[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"
