"""Searches a recipe in which the transport helps, by what training and validation days tell.

    python -m benchmarks.labels.recipe --data PREPARED --name kuairand_slice --seeds 3

Every recipe is the `equal` setting of `benchmarks.paper.settings` at one point of its tuning grid,
so that recipes differ in what they do to unclicked rows and in nothing else. The judges see
validation days and observed labels only (`benchmarks.labels.recipe_metrics`): recorded conversions
of unclicked rows and test days stay closed. Cells are runs as in `benchmarks.paper`; the same
command given again runs only what is missing and writes recipe_<name>.json and .md anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common.machine import machine_facts
from benchmarks.labels.recipe_metrics import JUDGES, run_metrics
from benchmarks.paper.grid import Cell, grid_parser, run_cells
from benchmarks.paper.settings import make_config
from benchmarks.paper.statistics import paired_difference, spread
from idefn_tf._files import write_json, write_text
from pipelines.cli import console as consoles
from pipelines.cli.console import Console
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

#: The point of the tuning grid at which recipes are compared, chosen for AllNegative.
POINT = {"optimizer.l2_rows": 0.01, "optimizer.learning_rate": 0.001}
REFERENCE = "all_negative"
_EPOCH = 64  # steps; a warm-up of one epoch on the slice
_BANK = {"model.transport.memory": 128, "model.transport.warmup_steps": _EPOCH}
_HIDDEN = {"model.representation": "hidden", "model.transport.normalize": True}
_AUTO = {"model.kappa": "auto"}
#: KuaiRand's names: rows of one video or author have distance 0 in their columns.
_ITEM = {"model.representation": ["video_id", "author_id"]}
_CVR = {"model.representation": ["hidden", "cvr"]}
_AVERAGE = {"model.representation": "hidden_average", "model.transport.normalize": True}
#: From nothing to kappa .02 over five epochs: few labels while representations are young.
_RISING = {
    "model.kappa": {
        "module": "keras.optimizers.schedules",
        "class_name": "PolynomialDecay",
        "config": {
            "initial_learning_rate": 0.0,
            "end_learning_rate": 0.02,
            "decay_steps": 5 * _EPOCH,
        },
        "registered_name": None,
    }
}
_CALIBRATED = {"model.transport.label_value": "calibrated"}
_TENTH = {"model.transport.label_value": 0.1}


@dataclass(frozen=True)
class Recipe:
    """What is done to the unclicked rows.

    Attributes:
        label: how tables call it.
        variant: of `benchmarks.paper.variants.VARIANTS`.
        overrides: by dotted key of the config.
    """

    label: str
    variant: str = "idefn"
    overrides: Mapping[str, Any] = field(default_factory=dict)


RECIPES: dict[str, Recipe] = {
    "all_negative": Recipe("AllNegative", "all_negative"),
    "esmm": Recipe("ESMM", "esmm"),
    "published": Recipe("kappa .02, embeddings, hard labels"),
    "auto": Recipe("kappa auto, embeddings, hard labels", overrides=_AUTO),
    "memory": Recipe("+ memory 128, warm-up", overrides={**_AUTO, **_BANK}),
    "hidden": Recipe("+ hidden layer, normalised", overrides={**_AUTO, **_BANK, **_HIDDEN}),
    "calibrated": Recipe(
        "the same, calibrated label value",
        overrides={**_AUTO, **_BANK, **_HIDDEN, **_CALIBRATED},
    ),
    "tenth": Recipe(
        "the same, label value .1",
        overrides={**_AUTO, **_BANK, **_HIDDEN, **_TENTH},
    ),
    "soft": Recipe(
        "the same, matched fraction as label",
        overrides={**_AUTO, **_BANK, **_HIDDEN, "model.rule": "soft"},
    ),
    "smooth": Recipe(
        "the same, matched fraction of a smooth plan",
        overrides={
            **_AUTO,
            **_BANK,
            **_HIDDEN,
            "model.rule": "soft",
            "model.transport.epsilon": 0.5,
            "model.transport.steps": 5,
        },
    ),
    "smooth_tenth": Recipe(
        "a tenth of that",
        overrides={
            **_AUTO,
            **_BANK,
            **_HIDDEN,
            "model.rule": "soft",
            "model.transport.epsilon": 0.5,
            "model.transport.steps": 5,
            **_TENTH,
        },
    ),
    "item": Recipe(
        "auto, memory 128, same video or author, hard labels",
        overrides={**_AUTO, **_BANK, **_ITEM},
    ),
    "item_calibrated": Recipe(
        "the same, calibrated label value",
        overrides={**_AUTO, **_BANK, **_ITEM, **_CALIBRATED},
    ),
    "item_tenth": Recipe(
        "the same, label value .1",
        overrides={**_AUTO, **_BANK, **_ITEM, **_TENTH},
    ),
    "user_tenth": Recipe(
        "same user, label value .1",
        overrides={
            **_AUTO,
            **_BANK,
            "model.representation": ["user_id"],
            **_TENTH,
        },
    ),
    "with_cvr": Recipe(
        "hidden layer and the model's own CVR, hard labels",
        overrides={**_AUTO, **_BANK, **_CVR},
    ),
    "with_cvr_tenth": Recipe(
        "the same, label value .1",
        overrides={**_AUTO, **_BANK, **_CVR, **_TENTH},
    ),
    "average": Recipe(
        "slow average of the hidden layer, hard labels",
        overrides={**_AUTO, **_BANK, **_AVERAGE},
    ),
    "average_tenth": Recipe(
        "the same, label value .1",
        overrides={**_AUTO, **_BANK, **_AVERAGE, **_TENTH},
    ),
    "rising_tenth": Recipe(
        "hidden layer, kappa rising from 0 to .02, label value .1",
        overrides={**_RISING, **_BANK, **_HIDDEN, **_TENTH},
    ),
    "alpha_90": Recipe("AllNegative, alpha .9", "all_negative", {"model.alpha": 0.9}),
    "alpha_95": Recipe("AllNegative, alpha .95", "all_negative", {"model.alpha": 0.95}),
    "alpha_50": Recipe("AllNegative, alpha .5", "all_negative", {"model.alpha": 0.5}),
    "alpha_60": Recipe("AllNegative, alpha .6", "all_negative", {"model.alpha": 0.6}),
    "alpha_70": Recipe("AllNegative, alpha .7", "all_negative", {"model.alpha": 0.7}),
    "tenth_50": Recipe(
        "alpha .5, kappa auto, memory 128, hidden layer, label value .1",
        overrides={"model.alpha": 0.5, **_AUTO, **_BANK, **_HIDDEN, **_TENTH},
    ),
    "gamma_10": Recipe("AllNegative, gamma 10", "all_negative", {"model.gamma": 10}),
    "gamma_70": Recipe("AllNegative, gamma 70", "all_negative", {"model.gamma": 70}),
    "tenth_gamma_10": Recipe(
        "gamma 10, kappa auto, memory 128, hidden layer, label value .1",
        overrides={"model.gamma": 10, **_AUTO, **_BANK, **_HIDDEN, **_TENTH},
    ),
    "tenth_gamma_70": Recipe(
        "gamma 70, kappa auto, memory 128, hidden layer, label value .1",
        overrides={"model.gamma": 70, **_AUTO, **_BANK, **_HIDDEN, **_TENTH},
    ),
    "own_cvr": Recipe("top-k by the model's own CVR (no transport)", "top_k_cvr"),
}


def recipe_cells(out: Path, names: Sequence[str], seeds: Sequence[int], family: str) -> list[Cell]:
    """Returns the search's cells, seed by seed, so that an interrupted search holds whole pairs."""
    cells = []
    for seed in seeds:
        for name in names:
            recipe = RECIPES[name]
            overrides = {**POINT, **recipe.overrides}
            config = make_config("equal", recipe.variant, "mlp", seed, family, overrides)
            cells.append(Cell("equal", name, "mlp", seed, config, out / name / f"seed{seed}"))
    return cells


def collect(cells: Sequence[Cell], data: Prepared) -> list[dict[str, Any]]:
    """Judges every finished cell; those not finished are left out."""
    rows = []
    for cell in cells:
        if not (cell.folder / "cell.json").is_file():
            continue
        run = Run.open(cell.folder)
        rows.append(
            {"recipe": cell.variant, "seed": cell.seed, "judges": run_metrics(run, data)},
        )
    return rows


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, and paired differences to AllNegative, by recipe and judge."""
    by_name: dict[str, dict[int, Mapping[str, float]]] = {}
    for row in rows:
        by_name.setdefault(row["recipe"], {})[row["seed"]] = row["judges"]
    found = []
    for name, seeds in by_name.items():
        entry: dict[str, Any] = {"recipe": name, "label": RECIPES[name].label}
        for which in JUDGES:
            own = {s: float(values[which]) for s, values in seeds.items()}
            base = {s: float(v[which]) for s, v in by_name.get(REFERENCE, {}).items()}
            apart = paired_difference(own, base) if name != REFERENCE else None
            entry[which] = {
                **spread(list(own.values())).as_dict(),
                "difference": None if apart is None else apart.as_dict(),
            }
        found.append(entry)
    return found


def to_markdown(name: str, summary: Sequence[Mapping[str, Any]], command: str) -> str:
    """The page of the search."""
    lines = [f"# Recipes on {name}, judged on validation days by observed labels", ""]
    lines += [f"`{command}`", "", "Each cell: mean over seeds (difference to AllNegative, paired)."]
    lines += ["", "| recipe | " + " | ".join(JUDGES.values()) + " | seeds |"]
    lines += ["|---" * (len(JUDGES) + 2) + "|"]
    for entry in summary:
        cells = []
        for which in JUDGES:
            apart = entry[which]["difference"]
            text = f"{entry[which]['mean']:.4f}"
            cells.append(text if apart is None else f"{text} ({apart['mean']:+.4f})")
        lines.append(
            f"| {entry['label']} | "
            + " | ".join(cells)
            + f" | {entry[next(iter(JUDGES))]['seeds']} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = grid_parser("recipe", __doc__, Path("runs/recipe"))
    add = parser.add_argument
    add("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    add("--seeds", type=int, default=3, help="how many, from 2000: no seed of a table")
    add("--jobs", type=int, default=1, help="cells at a time")
    add("--minutes", type=float, help="begin no further cell after so long")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    return consoles.run_job(lambda: _run(given, console), console)


def _run(given: argparse.Namespace, console: Console) -> int:
    data = Prepared.open(given.data)
    family = "simulated" if data.card["dataset"].startswith("simulated") else "kuairand"
    seeds = range(2000, 2000 + given.seeds)
    cells = recipe_cells(given.out / given.name, given.recipes, seeds, family)
    limit = None if given.minutes is None else 60 * given.minutes
    failures = run_cells(cells, given.data, console, given.jobs, limit)
    rows = collect(cells, data)
    if not rows:
        raise ValueError(f"--out: no cell of {given.out / given.name} is finished")
    summary = summarise(rows)
    command = (
        f"python -m benchmarks.labels.recipe --data DIR --name {given.name} --seeds {given.seeds}"
    )
    result = {
        "data": given.name,
        "command": command,
        "machine": machine_facts(),
        "point": POINT,
        "judges": JUDGES,
        "recipes": {n: dict(RECIPES[n].overrides) for n in given.recipes},
        "rows": rows,
        "summary": summary,
    }
    write_json(given.results / f"recipe_{given.name}.json", json.loads(json.dumps(result)))
    page = given.results / f"recipe_{given.name}.md"
    write_text(page, to_markdown(given.name, summary, command))
    console.wrote(page)
    for failure in failures:
        console.error(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
