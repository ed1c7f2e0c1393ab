"""How much of the click belongs into the ranking? Scores from CVR to CTCVR, measured everywhere.

    python -m benchmarks.labels.clicks --data PREPARED --name kuairand_slice

Reads the finished cells of ``benchmarks.paper`` (--out, setting ``equal``). AllNegative's two
outputs give the click-space CVR r in closed form; with its click rate c the scores

    r (c + k (1 - c)),    k = 0 ... 1,

are CTCVR at k = 0 and the CVR after a click at k = 1. They are what Eq. 15 tends to where unclicked
rows convert k times as often as clicked ones with the same features, so the best k on a space tells
which way labels on unclicked rows should move the model, before any is made. Nothing is trained;
recorded conversions of unclicked rows are read for this report alone. Writes
benchmarks/results/clicks_<name>.json, .md and .png.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.machine import machine_facts
from benchmarks.labels.clicks_plot import save_plot
from benchmarks.paper.bootstrap import report_labels
from benchmarks.paper.cell import SCORES
from benchmarks.paper.grid import grid_parser
from benchmarks.paper.statistics import spread
from benchmarks.paper.variants import get_variant
from idefn_tf._files import write_json, write_text
from idefn_tf.calibration import click_space_cvr
from idefn_tf.evaluation.spaces import SPACES, select
from idefn_tf.metrics import exact_metrics
from pipelines.cli import console as consoles
from pipelines.cli.console import Console
from pipelines.preparation.prepared_folder import Prepared

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
#: AllNegative at other alphas, drawn beside: trained, not computed.
TRAINED = ("all_negative_50", "all_negative", "all_negative_90")
Arrays = Mapping[str, np.ndarray]


def between(scores: Arrays, alpha: float, share: float) -> np.ndarray:
    """Returns r (c + share (1 - c)) of Eq. 15's two outputs, [rows]."""
    ctr = np.asarray(scores["ctr"], np.float64)
    click_cvr = click_space_cvr(np.asarray(scores["cvr"], np.float64), ctr, alpha)
    return np.asarray(click_cvr * (ctr + share * (1 - ctr)))


def auc_by_space(score: np.ndarray, columns: Arrays, spaces: Sequence[str]) -> dict[str, float]:
    """Returns the AUC of a score in every space."""
    found = {}
    for name in spaces:
        mask, label = select(name, columns)
        found[name] = float(exact_metrics.auc(label[mask], score[mask]))
    return found


def read_scores(folder: Path, variant: str) -> dict[int, dict[str, np.ndarray]]:
    """Returns a variant's test scores by seed; those of no finished cell are left out."""
    found = {}
    for path in sorted(folder.glob(f"{variant}/seed*/{SCORES}")):
        with np.load(path) as kept:
            found[int(path.parent.name.removeprefix("seed"))] = dict(kept)
    return dict(sorted(found.items()))


def study(folder: Path, columns: Arrays, spaces: Sequence[str]) -> dict[str, Any]:
    """Measures the scores between CVR and CTCVR, and the trained alphas beside them.

    Args:
        folder: of the cells of one setting and backbone.
        columns: the test rows' labels by name, [rows].
        spaces: names of spaces that the data have.

    Raises:
        ValueError: if no cell of AllNegative is finished.
    """
    made = read_scores(folder, "all_negative")
    if not made:
        raise ValueError(f"--out: {folder} holds no finished cell of all_negative")
    alpha = get_variant("all_negative").published["alpha"]
    curve = []
    for share in SHARES:
        judged = [auc_by_space(between(s, alpha, share), columns, spaces) for s in made.values()]
        curve.append({"share": share, **_by_space(judged, spaces)})
    trained = []
    for name in TRAINED:
        judged = [
            auc_by_space(s["cvr"], columns, spaces) for s in read_scores(folder, name).values()
        ]
        if judged:
            variant = get_variant(name)
            beside = {"method": name, "alpha": variant.published["alpha"], "seeds": len(judged)}
            trained.append({**beside, **_by_space(judged, spaces)})
    return {"seeds": len(made), "spaces": list(spaces), "curve": curve, "trained": trained}


def to_markdown(name: str, found: Mapping[str, Any], command: str) -> str:
    """The page: a row for each k, and for each trained alpha."""
    spaces = found["spaces"]
    lines = [f"# How much of the click belongs into the ranking, on {name}", "", f"`{command}`", ""]
    lines += [f"![AUC from CTCVR to CVR](clicks_{name}.png)", ""]
    lines += [
        f"AUC by space, means of {found['seeds']} seeds: r (c + k (1 - c)), computed from "
        "AllNegative's outputs.",
        "",
        "| k | " + " | ".join(spaces) + " |",
        "|---:" * (len(spaces) + 1) + "|",
    ]
    for row in found["curve"]:
        cells = " | ".join(f"{row[s]['mean']:.4f}" for s in spaces)
        lines.append(f"| {row['share']:g} | {cells} |")
    lines += ["", "AllNegative's CVR as trained:", ""]
    lines += ["| alpha | " + " | ".join(spaces) + " | seeds |"]
    lines += ["|---:" * (len(spaces) + 2) + "|"]
    for row in found["trained"]:
        cells = " | ".join(_told(row[s]) for s in spaces)
        lines.append(f"| {row['alpha']:g} | {cells} | {row['seeds']} |")
    return "\n".join(lines) + "\n"


def _told(value: Mapping[str, Any]) -> str:
    apart = "" if value["std"] is None else f" ± {value['std']:.4f}"
    return f"{value['mean']:.4f}{apart}"


def _by_space(judged: Sequence[Mapping[str, float]], spaces: Sequence[str]) -> dict[str, Any]:
    return {s: spread([values[s] for values in judged]).as_dict() for s in spaces}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = grid_parser("clicks", __doc__, Path("runs/paper"))
    parser.add_argument("--setting", default="equal", help="whose cells are read")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    return consoles.run_job(lambda: _run(given, console), console)


def _run(given: argparse.Namespace, console: Console) -> int:
    data = Prepared.open(given.data)
    columns = report_labels(data)
    spaces = [n for n, space in SPACES.items() if set(space.columns) <= set(columns)]
    found = study(given.out / given.name / given.setting / "mlp", columns, spaces)
    command = f"python -m benchmarks.labels.clicks --data DIR --name {given.name}"
    command += "" if given.setting == "equal" else f" --setting {given.setting}"
    base = given.results / f"clicks_{given.name}"
    result = {"data": given.name, "command": command, "machine": machine_facts(), **found}
    write_json(base.with_suffix(".json"), result)
    write_text(base.with_suffix(".md"), to_markdown(given.name, found, command))
    save_plot(base.with_suffix(".png"), found)
    console.wrote(base.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
