"""The question where the truth is known: simulated users with a taste that their past tells.

    python -m benchmarks.labels.known_taste run --worlds WORLDS --out OUT --seeds 10
    python -m benchmarks.labels.known_taste table --worlds WORLDS --out OUT

`--worlds` is a folder of prepared folders, one a world, with history and the oracle's labels:
``python -m pipelines.prepare simulated-funnel --exposures 120000 --preset kuai --taste 2 --users
2000 --selection S --schema schemas/simulated_funnel_history.yaml --out WORLDS/selection_S``. Every
row is the setting ``one_point`` of `benchmarks.paper`: none is tuned alone. Each cell's test scores
are saved as it ends, seed by seed over all worlds; the same command runs what is missing. What was
expected was written down first: docs/transport-measurements.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.machine import machine_facts
from benchmarks.labels.kept_scores import keep_scores, users_and_items
from benchmarks.paper.bootstrap import difference, draw_aucs, report_labels
from benchmarks.paper.settings import make_config
from benchmarks.paper.statistics import spread
from idefn_tf._files import write_json, write_text
from idefn_tf.evaluation.spaces import select
from idefn_tf.schema import Schema
from pipelines.cli import console as consoles
from pipelines.cli.arguments import add_quiet
from pipelines.cli.console import Console
from pipelines.preparation.prepared_folder import Prepared
from serving.common.command_line import command_parser

RESULTS = Path(__file__).resolve().parents[1] / "results" / "labels"
SPACE, REFERENCE, DRAWS = "oracle", "all_negative", 300
#: Rows of the table: label, and variant of `benchmarks.paper.variants`.
ROWS = {
    "all_negative": ("AllNegative", "all_negative"),
    "all_negative_90": ("AllNegative, alpha .9", "all_negative_90"),
    "recipe": ("IdeFN, hidden layer, labels worth .1", "idefn_light"),
    "recipe_history": ("IdeFN, history columns, labels worth .1", "idefn_light"),
    "recipe_calibrated": ("IdeFN, hidden layer, calibrated labels", "idefn_light"),
    "nearest_positive": ("nearest positive", "nearest_positive"),
    "oracle_relabel": ("the truth relabelled", "oracle_relabel"),
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


def overrides(row: str, schema: Schema) -> dict[str, Any]:
    """Returns what a row changes in its variant's config, by dotted key."""
    if row == "recipe_history":
        past = [name for aggregate in schema.past.aggregates for name in aggregate.names]
        return {"model.representation": sorted(past)}
    if row == "recipe_calibrated":
        return {"model.transport.label_value": "calibrated"}
    return {}


def cells(
    worlds: Sequence[str], seeds: Sequence[int], rows: Sequence[str] = tuple(ROWS)
) -> Iterator[Cell]:
    """Yields the cells, so that an early end leaves whole seeds of all worlds."""
    for seed in seeds:
        for world in worlds:
            for row in rows:
                yield Cell(world, row, seed)


def run(cell: Cell, worlds: Path, out: Path, console: Console) -> None:
    """Trains a cell and keeps its CVR of the test rows, unless that is done."""
    path = out / "scores" / f"{cell.name}.npz"
    if path.exists():
        return
    console.step(cell.name)
    prepared = Prepared.open(worlds / cell.world)
    changed = overrides(cell.row, prepared.schema)
    config = make_config(
        "one_point", ROWS[cell.row][1], "mlp", cell.seed, "simulated", overrides=changed
    )
    keep_scores(path, config, prepared, ("test",))


def compare(world: Path, out: Path, draws: int = DRAWS) -> dict[str, Any]:
    """Returns a world's rows: mean and deviation, and the difference to AllNegative.

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
        gain = None if row == REFERENCE else difference(drawn, row, REFERENCE)
        found["rows"][row] = {**told, "gain": gain}
    return found


def to_markdown(found: Mapping[str, Any]) -> str:
    """Writes the page of the comparison."""
    worlds = found["worlds"]
    title = f"# The question where taste is known: {found['name']}"
    lines = [title, "", f"`{found['command']}`", ""]
    lines += [
        "CVR AUC against every test exposure's potential conversion, history where the world has "
        "it; first row mean ± deviation over seeds, below paired differences to it, in brackets "
        "95 % of bootstrap draws of users, items and seeds.",
        "",
        "| row | " + " | ".join(world["world"] for world in worlds) + " |",
        "|---|" + "---:|" * len(worlds),
    ]
    for row, (label, _) in ROWS.items():
        if not any(row in world["rows"] for world in worlds):
            continue
        cells = [_told(world["rows"].get(row)) for world in worlds]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    best = [(world["ceiling"] or {}).get("oracle/cvr_auc") for world in worlds]
    lines.append(
        "| the best that features could tell | " + " | ".join(f"{b:.4f}" for b in best if b) + " |"
    )
    return "\n".join(lines) + "\n"


def _told(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    gain = row["gain"]
    if gain is None:
        return f"{row['mean']:.4f} ± {row['std'] or 0.0:.4f} ({row['seeds']} seeds)"
    return f"{gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.labels.known_taste", __doc__)
    parser.add_argument("step", choices=["run", "table"])
    parser.add_argument("--worlds", type=Path, required=True, help="a folder of prepared folders")
    parser.add_argument("--out", type=Path, required=True, help="where scores go")
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS], default=[*ROWS], help="to be run")
    parser.add_argument("--name", default="known_taste", help="of the results")
    add_quiet(parser)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        worlds = sorted(p.name for p in given.worlds.iterdir() if Prepared.is_at(p))
        if given.step == "run":
            for cell in cells(worlds, range(given.seeds), given.rows):
                run(cell, given.worlds, given.out, console)
            return 0
        found = {"worlds": [compare(given.worlds / world, given.out) for world in worlds]}
        seeds = min(world["rows"][REFERENCE]["seeds"] for world in found["worlds"])
        command = "python -m benchmarks.labels.known_taste run --worlds WORLDS --out OUT --seeds"
        path = RESULTS / f"{given.name}.json"
        told = {
            **found,
            "name": given.name,
            "command": f"{command} {seeds}",
            "machine": machine_facts(),
        }
        write_json(path, told)
        write_text(path.with_suffix(".md"), to_markdown(told))
        console.wrote(path)
        return 0

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
