"""The study's table: AUCs over seeds, and paired differences over users and items.

Draws of the bootstrap are over users, widened by what items add (`idefn_tf.evaluation.resampling`);
seeds are drawn too. Both sides of a difference meet the same draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.history import boosting
from benchmarks.history.kuairand_cells import keep, spread
from benchmarks.paper.bootstrap import Ranking
from idefn_tf._files import read_json
from idefn_tf.evaluation.resampling import WAYS, resample_ways, widened

RESULTS = Path(__file__).parents[1] / "results" / "history"
SPACES = ("all_raw", "all_funnel", "clicked")
COLUMNS = ("validation all_funnel", *(f"test {space}" for space in SPACES))
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


def columns_of(
    scores: Mapping[str, Mapping[str, Mapping[int, np.ndarray]]], validation: Truth, test: Truth
) -> dict[str, dict[int, dict[str, float]]]:
    """Returns the AUCs of every cell at hand, by row of the table, seed and column."""
    found: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    for name, by_seed in scores["test"].items():
        for seed, score in by_seed.items():
            rows, label = select(validation, "all_funnel")
            cell = {COLUMNS[0]: auc(label, scores["validation"][name][seed][rows])}
            for column, space in zip(COLUMNS[1:], SPACES, strict=True):
                rows, label = select(test, space)
                cell[column] = auc(label, score[rows])
            found[name][seed] = {column: round(value, 6) for column, value in cell.items()}
    return found


def write_table(work: Path, validation: Truth, test: Truth) -> None:
    """Writes the table and the differences as Markdown, and keeps every cell's AUCs beside it."""
    scores = {"validation": load(work, "validation"), "test": load(work, "test")}
    cells = keep(RESULTS / "kuairand_cells.json", columns_of(scores, validation, test))
    lines = [
        f"| history, method, encoder | seeds | {' | '.join(COLUMNS)} |",
        "|---|---|---|---|---|---|",
    ]
    for name, by_seed in cells.items():
        found = [spread(by_seed, column) for column in COLUMNS]
        texts = " | ".join(_text(mean, deviation) for _, mean, deviation in found)
        lines.append(f"| {name.replace('-', ', ')} | {found[0][0]} | {texts} |")
    lines += ["", *_differences(scores["test"], test)]
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "kuairand_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _differences(found: Mapping[str, Mapping[int, np.ndarray]], test: Truth) -> list[str]:
    """Returns the table of paired differences to the boosting that was ahead on validation."""
    lines = ["| difference, test all_raw | seeds | mean | 95 % interval |", "|---|---|---|---|"]
    _, label = select(test, "all_raw")
    library = boosting.better(read_json(boosting.RESULT), "aggregates")
    reference = found.get(f"aggregates-{boosting.cell_name(library)}-none", {})
    for name, by_seed in sorted(found.items()):
        seeds = sorted(set(by_seed) & set(reference))
        if name.endswith("-none") or not seeds:
            continue
        mean, low, high = difference(by_seed, reference, label, test["user_id"], test["video_id"])
        row = f"{name.replace('-', ', ')} minus {library}"
        which = ", ".join(str(seed) for seed in seeds)
        lines.append(f"| {row} | {which} | {mean:+.4f} | {low:+.4f} .. {high:+.4f} |")
    return lines


def _text(mean: float, deviation: float) -> str:
    return f"{mean:.4f}" if np.isnan(deviation) else f"{mean:.4f} ± {deviation:.4f}"
