"""Recipes and controls in worlds whose truth is known: cells, their trainings, the comparison.

A world is a prepared folder with the label `oracle_conversion` in its reports: what each exposure
would bring if it were clicked. `benchmarks.labels.known_taste` simulates such worlds,
`benchmarks.labels.hidden_clicks` makes them of a log's clicked rows. Every row of the table is the
setting ``one_point`` of `benchmarks.paper`: none is tuned alone, all have the same features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.labels.kept_scores import keep_scores, users_and_items
from benchmarks.paper.bootstrap import difference, draw_aucs, report_labels
from benchmarks.paper.settings import make_config
from benchmarks.paper.statistics import spread
from idefn_tf.evaluation.spaces import select
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared

SPACE, REFERENCE, DRAWS = "oracle", "all_negative", 300


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        label: how the page calls it.
        variant: of `benchmarks.paper.variants`.
        changes: of its config, by dotted key.
        reference: the row that it is compared with: AllNegative with the same encoder.
    """

    label: str
    variant: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    reference: str = REFERENCE


_ATTENDED = {"encoder.name": "din"}
_PRICES = {"model.transport.rejection_price": "auto", "model.rule": "matched_fraction"}

ROWS = {
    "all_negative": Row("AllNegative", "all_negative"),
    "all_negative_90": Row("AllNegative, alpha .9", "all_negative_90"),
    "recipe": Row("IdeFN, hidden layer, labels worth .1", "idefn_light"),
    "recipe_history": Row(
        "IdeFN, history columns, labels worth .1",
        "idefn_light",
        {"model.representation": "history"},
    ),
    "recipe_click_layer": Row(
        "IdeFN, click tower's layer, labels worth .1",
        "idefn_light",
        {"model.representation": "hidden_ctr"},
    ),
    "recipe_prices": Row(
        "IdeFN, hidden layer, prices by propensity, labels worth .1", "idefn_light", _PRICES
    ),
    "recipe_calibrated": Row(
        "IdeFN, hidden layer, calibrated labels",
        "idefn_light",
        {"model.transport.label_value": "calibrated"},
    ),
    "all_negative_attended": Row("AllNegative, attended sequences", "all_negative", _ATTENDED),
    "recipe_attended": Row(
        "IdeFN, attended sequences, labels worth .1, minus AllNegative with them",
        "idefn_light",
        {**_ATTENDED, "model.representation": "sequences"},
        "all_negative_attended",
    ),
    "nearest_positive": Row("nearest positive", "nearest_positive"),
    "top_k_cvr": Row("top-k by CVR", "top_k_cvr"),
    "escm2_dr": Row("ESCM2-DR", "escm2_dr"),
    "dcmt": Row("DCMT", "dcmt"),
    "nise": Row("NISE", "nise"),
    "oracle_relabel": Row("the truth relabelled", "oracle_relabel"),
}


@dataclass(frozen=True)
class Cell:
    """One training: a world, a row of the table, a seed."""

    world: str
    row: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.world}-{self.row}-{self.seed}"


def cells(
    worlds: Sequence[str], seeds: Sequence[int], rows: Sequence[str] = tuple(ROWS)
) -> Iterator[Cell]:
    """Yields the cells, so that an early end leaves whole seeds of all worlds."""
    for seed in seeds:
        for world in worlds:
            for row in rows:
                yield Cell(world, row, seed)


def config_of(cell: Cell, family: str, settings: Mapping[str, Any]) -> Config:
    """Returns a cell's config: its variant's, with what all rows change and what it changes."""
    row = ROWS[cell.row]
    changed = {**settings, **row.changes}
    return make_config("one_point", row.variant, "mlp", cell.seed, family, overrides=changed)


def run(
    cell: Cell,
    worlds: Path,
    out: Path,
    console: Console,
    family: str,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Trains a cell and keeps its CVR of the test rows, unless that is done.

    Args:
        cell: which.
        worlds: the folder of prepared folders.
        out: where scores go.
        console: says what is done.
        family: of shipped configs, "simulated" or "kuairand".
        settings: by dotted key, what every row of the table changes.
    """
    path = out / "scores" / f"{cell.name}.npz"
    if path.exists():
        return
    console.step(cell.name)
    config = config_of(cell, family, settings or {})
    keep_scores(path, config, Prepared.open(worlds / cell.world), ("test",))


def compare(world: Path, out: Path, draws: int = DRAWS) -> dict[str, Any]:
    """Returns a world's rows: mean and deviation, and the difference to the row's reference.

    Raises:
        ValueError: if the world tells no users or items apart.
    """
    prepared = Prepared.open(world)
    users, items = users_and_items(prepared, "--worlds", world)
    _, label = select(SPACE, report_labels(prepared))
    scores: dict[str, dict[int, np.ndarray]] = {}
    for row in ROWS:
        for path in sorted((out / "scores").glob(f"{world.name}-{row}-*.npz")):
            with np.load(path) as kept:
                scores.setdefault(row, {})[int(path.stem.rpartition("-")[2])] = kept["test"]
    drawn = draw_aucs(label, scores, users, draws, items=items)
    found: dict[str, Any] = {
        "world": world.name,
        "card": prepared.card.get("simulation"),
        "rows": {},
    }
    found["ceiling"] = prepared.card.get("ceiling", {}).get("test")
    for row, by_seed in drawn.items():
        told = spread([values[0, 0] for values in by_seed.values()]).__dict__
        gain = None if row == REFERENCE else difference(drawn, row, ROWS[row].reference)
        found["rows"][row] = {**told, "gain": gain}
    return found


def to_markdown(found: Mapping[str, Any]) -> str:
    """Writes the page of the comparison."""
    worlds = found["worlds"]
    lines = [f"# {found['title']}", "", f"`{found['command']}`", ""]
    lines += [
        "CVR AUC against every test exposure's potential conversion. First row: mean ± deviation "
        "over seeds. Below: paired differences to it, in brackets 95 % of bootstrap draws of "
        "users, items and seeds.",
        "",
        "| row | " + " | ".join(world["world"] for world in worlds) + " |",
        "|---|" + "---:|" * len(worlds),
    ]
    for row, made in ROWS.items():
        if not any(row in world["rows"] for world in worlds):
            continue
        told = [_told(world["rows"].get(row)) for world in worlds]
        lines.append(f"| {made.label} | {' | '.join(told)} |")
    best = [(world["ceiling"] or {}).get("oracle/cvr_auc") for world in worlds]
    if all(best):
        told = [f"{b:.4f}" for b in best]
        lines.append(f"| the best that features could tell | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def _told(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    gain = row["gain"]
    if gain is None:
        return f"{row['mean']:.4f} ± {row['std'] or 0.0:.4f} ({_seeds(row)})"
    return f"{gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}; {_seeds(gain)})"


def _seeds(told: Mapping[str, Any]) -> str:
    return "1 seed" if told["seeds"] == 1 else f"{told['seeds']} seeds"
