"""Does history move conversion models, and which form of it? KuaiRand-Pure's slice.

``python -m benchmarks.history.kuairand_study prepare --raw DIR --work WORK``
``python -m benchmarks.history.kuairand_study run --work WORK --seeds 0 1 2 --only 'both-*-din'``
``python -m benchmarks.history.kuairand_study table --work WORK``

Rows of the table are {no history, aggregates, sequences, both} x {ClickOnly, AllNegative, ESMM,
IdeFN} and each encoder, beside gradient boosting on the same columns (`boosting.py`). Settings
stand in `kuairand_recipes.yaml`, chosen on validation all_funnel alone. Each cell is saved as it
ends, and a second run goes on with those that are missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.registry import SCHEMAS, prepare
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict, report_columns
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train
from serving.common.command_line import command_parser

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "history"
RECIPES = HERE / "kuairand_recipes.yaml"
WINDOW = "derived_train_window_0409_0424_last50.parquet"
VARIANTS = ("none", "aggregates", "sequences", "both")
METHODS = ("click_only", "all_negative", "esmm", "idefn")
ENCODERS = ("mean", "din", "target_attention", "transformer")


@dataclass(frozen=True)
class Cell:
    """One training: which columns, which method, which encoder, which seed."""

    variant: str
    method: str
    encoder: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.variant}-{self.method}-{self.encoder}-{self.seed}"


def recipes() -> dict[str, Any]:
    """Returns the committed settings."""
    found: dict[str, Any] = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))
    return found


def schema_of(variant: str) -> Schema:
    """Returns the slice's schema with a variant's history."""
    value = yaml.safe_load((SCHEMAS / "kuairand_pure.yaml").read_text(encoding="utf-8"))
    given = recipes()["schema"]
    if variant != "none":
        value["history"] = dict(given["history"])
        if variant == "sequences":
            del value["history"]["aggregates"]
    if variant in ("sequences", "both"):
        value["sequences"] = given["sequences"]
    return Schema.parse(value)


def prepare_all(raw: Path, work: Path) -> None:
    """Prepares every variant."""
    for variant in VARIANTS:
        events = [] if variant == "none" else [str(raw / WINDOW)]
        out = work / "data" / variant
        schema = schema_of(variant)
        prepare("kuairand_pure", raw, out, schema=schema, events=events, console=Console())


def cells(seeds: Sequence[int]) -> Iterator[Cell]:
    """Yields every cell, seed by seed, so that an early end leaves whole tables."""
    chosen = recipes()["encoder"]["name"]
    for seed in seeds:
        for variant in VARIANTS:
            for method in METHODS:
                yield Cell(variant, method, chosen, seed)
        for method in METHODS:
            for encoder in ENCODERS:
                if encoder != chosen:
                    yield Cell("both", method, encoder, seed)


def config_of(cell: Cell) -> Config:
    """Returns a cell's config: the shipped one of its method, with the recipe's settings."""
    given = recipes()
    path = HERE.parents[1] / "pipelines" / "configs" / "kuairand" / f"{cell.method}.yaml"
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    if cell.variant != "none":
        for group, settings in given["settings"].items():
            value[group] = {**value.get(group, {}), **settings}
    if cell.variant in ("sequences", "both"):
        own = given["encoder"] if cell.encoder == given["encoder"]["name"] else {}
        value["encoder"] = {**own, "name": cell.encoder}
    value["training"] = {**value["training"], "seed": cell.seed, "audit": False}
    return Config.parse(value)


def run(cell: Cell, work: Path) -> None:
    """Trains a cell and keeps its scores of validation and test rows."""
    path = work / "scores" / f"{cell.name}.npz"
    if path.exists():
        return
    data = Prepared.open(work / "data" / cell.variant)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        out = Path(folder) / "run"
        done = train(config_of(cell), data, out, Console(quiet=True), evaluate=False)
        model = done.load_model()
    scores = {
        f"{part}_{name}": values
        for part in ("validation", "test")
        for name, values in predict(model, data.schema, data.table(part)).items()
        if name == "cvr"
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **scores)


def truth(work: Path, part: str) -> Mapping[str, np.ndarray]:
    """Returns labels and ids of a part's rows, the same in every variant."""
    data = Prepared.open(work / "data" / "none")
    columns = ["click", "conversion", "user_id", "video_id"]
    table = data.table(part, columns=columns)
    found = {name: table[name].to_numpy() for name in columns}
    return {**found, "conversion_raw": report_columns(data, part)["conversion_raw"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.history.kuairand_study", __doc__)
    parser.add_argument("step", choices=["prepare", "run", "table"])
    parser.add_argument("--raw", type=Path, help="the slice's folder")
    parser.add_argument("--work", type=Path, required=True, help="prepared data and scores")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--only", default="*", help="run: cells like this (VARIANT-METHOD-ENCODER)")
    given = parser.parse_args(arguments)
    if given.step == "prepare":
        prepare_all(given.raw, given.work)
    elif given.step == "run":
        for cell in cells(given.seeds):
            if fnmatch(cell.name.rpartition("-")[0], given.only):
                run(cell, given.work)
    else:
        from benchmarks.history.kuairand_table import write_table

        write_table(given.work, truth(given.work, "validation"), truth(given.work, "test"))


if __name__ == "__main__":
    main()
