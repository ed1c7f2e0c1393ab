"""The ceiling's table: AllNegative, the truth relabelled, and the difference, by history and alpha.

Differences are paired by seed, their intervals over users, items and seeds
(`benchmarks.paper.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.machine import machine_facts
from benchmarks.labels.ceiling_plot import save_plot
from benchmarks.paper.bootstrap import difference, draw_aucs
from benchmarks.paper.statistics import spread
from idefn_tf._files import write_json, write_text
from idefn_tf.evaluation.spaces import select

#: Spaces with a difference, and those whose means alone are told.
TESTED, TOLD = ("all_raw", "unclicked_raw"), ("all_funnel", "clicked")
METHODS = ("all_negative", "oracle_relabel")
DRAWS = 300
_WORDS = {"aggregates": "with history", "none": "without history"}

Scores = Mapping[str, Mapping[int, np.ndarray]]


def read_scores(out: Path, part: str) -> dict[str, dict[int, np.ndarray]]:
    """Returns the CVR of a part's rows by row of the table ("history-method-alpha") and seed.

    Raises:
        ValueError: if no cell is finished.
    """
    found: dict[str, dict[int, np.ndarray]] = {}
    for path in sorted((out / "scores").glob("*.npz")):
        row, _, seed = path.stem.rpartition("-")
        with np.load(path) as scores:
            found.setdefault(row, {})[int(seed)] = scores[part]
    if not found:
        raise ValueError(f"--out: must hold finished cells, received {out} without; run them first")
    return found


def study(
    scores: Scores,
    columns: Mapping[str, np.ndarray],
    users: np.ndarray,
    items: np.ndarray,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Compares the truth with AllNegative in each pair of history and alpha.

    Args:
        scores: as `read_scores` returns them; seeds that one side lacks are left out.
        columns: labels of the rows, as `select` takes them.
        users: the user of each row.
        items: the item of each row.
        draws: of each way of the bootstrap.

    Returns:
        {"pairs": [{"history", "alpha", "seeds", METHOD: {space: spread}, "gain": {space:
        difference}}]}.
    """
    found = []
    for history, alpha in _pairs(scores):
        both = {m: scores[f"{history}-{m}-{alpha}"] for m in METHODS}
        seeds = sorted(set.intersection(*(set(of_seed) for of_seed in both.values())))
        pair: dict[str, Any] = {"history": history, "alpha": float(alpha), "seeds": len(seeds)}
        pair |= {m: {} for m in METHODS} | {"gain": {}}
        for space in (*TESTED, *TOLD):
            mask, label = select(space, columns)
            held = {m: {s: both[m][s][mask] for s in seeds} for m in METHODS}
            count = draws if space in TESTED else 0
            drawn = draw_aucs(label[mask], held, users[mask], count, items=items[mask])
            for m in METHODS:
                pair[m][space] = spread([drawn[m][s][0, 0] for s in seeds]).__dict__
            if count:
                pair["gain"][space] = difference(drawn, METHODS[1], METHODS[0])
        found.append(pair)
    return {"pairs": found}


def _pairs(scores: Scores) -> list[tuple[str, str]]:
    """The pairs of history and alpha of which both sides have a common seed."""
    found = []
    for row in scores:
        history, method, alpha = row.split("-")
        other = scores.get(f"{history}-{METHODS[1]}-{alpha}", {})
        if method == METHODS[0] and set(scores[row]) & set(other):
            found.append((history, alpha))
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def to_markdown(found: Mapping[str, Any]) -> str:
    """Writes the page of a study."""
    lines = [
        "# What any relabelling could gain on KuaiRand's slice",
        "",
        f"`{found['command']}`",
        "",
        "CVR AUC on the test days (402 likes, 77 of them unclicked), mean ± deviation over seeds. "
        "AllNegative, and the same loss told every recorded unclicked like. Gain: truth minus "
        "AllNegative, paired by seed; 95 % of bootstrap draws of users, items and seeds. What was "
        "to follow from which gain was written down before: "
        "`docs/transport-measurements.md`.",
    ]
    for space in TESTED:
        head = "| history | alpha | AllNegative | the truth | gain | 95 % | p | seeds |"
        lines += ["", f"## {space}", "", head]
        lines += ["|---|---:|---:|---:|---:|---|---:|---:|"]
        lines += [_line(pair, space) for pair in found["pairs"]]
    lines += ["", "## Other spaces, means", ""]
    heads = " | ".join(f"{space}: AllNegative | the truth" for space in TOLD)
    lines += [f"| history | alpha | {heads} |"]
    lines += ["|---|---:|" + "---:|" * 2 * len(TOLD)]
    for pair in found["pairs"]:
        cells = [f"{pair[m][s]['mean']:.4f}" for s in TOLD for m in METHODS]
        lines.append(f"| {_WORDS[pair['history']]} | {pair['alpha']:g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _line(pair: Mapping[str, Any], space: str) -> str:
    cells = []
    for method in METHODS:
        told = pair[method][space]
        cells.append(f"{told['mean']:.4f}" + (f" ± {told['std']:.4f}" if told["std"] else ""))
    gain = pair["gain"][space]
    cells.append(f"{gain['mean']:+.4f}")
    cells.append(f"{gain['low']:+.4f} to {gain['high']:+.4f}")
    cells += [f"{gain['p']:.3f}", str(pair["seeds"])]
    return f"| {_WORDS[pair['history']]} | {pair['alpha']:g} | {' | '.join(cells)} |"


def write(found: Mapping[str, Any], results: Path, name: str) -> Sequence[Path]:
    """Writes ceiling_NAME.json, .md and .png; returns their paths."""
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"ceiling_{name}.json"
    write_json(path, {**found, "machine": machine_facts()})
    write_text(path.with_suffix(".md"), to_markdown(found))
    save_plot(path.with_suffix(".png"), found)
    return [path, path.with_suffix(".md"), path.with_suffix(".png")]
