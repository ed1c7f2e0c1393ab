"""Does history move conversion models, and which form of it? KuaiRand-Pure's slice.

``python -m benchmarks.history.kuairand_study prepare --raw DIR --work WORK``
``python -m benchmarks.history.kuairand_study run --work WORK --seeds 0 1 2``
``python -m benchmarks.history.kuairand_study table --work WORK``

Rows of the table are {no history, aggregates, sequences, both} x {ClickOnly, AllNegative, ESMM,
IdeFN} and each encoder, beside gradient boosting on the same columns. Settings stand in
`kuairand_recipes.yaml`, chosen on validation all_funnel alone. Each cell is saved as it ends, and a
second run goes on with those that are missing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from idefn_tf._files import write_json
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
        for encoder in ENCODERS:
            if encoder != chosen:
                yield Cell("both", "all_negative", encoder, seed)


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


def boosted(work: Path, seeds: Sequence[int]) -> None:
    """Fits gradient boosting on every column but ids, tuned on validation, and keeps scores."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    for variant in ("none", "aggregates"):
        paths = [work / "scores" / f"{variant}-boosting-none-{seed}.npz" for seed in seeds]
        if all(path.exists() for path in paths):
            continue
        data = Prepared.open(work / "data" / variant)
        columns = {part: _columns(data, part) for part in ("train", "validation", "test")}
        label = {part: _label(data, part) for part in columns}
        best: tuple[float, dict[str, Any]] = (0.0, {})
        for settings in recipes()["boosting"]:
            model = HistGradientBoostingClassifier(**settings, random_state=0, early_stopping=False)
            model.fit(columns["train"], label["train"])
            found = model.predict_proba(columns["validation"])[:, 1]
            best = max(
                best, (float(roc_auc_score(label["validation"], found)), settings), key=_first
            )
        for seed in seeds:
            path = work / "scores" / f"{variant}-boosting-none-{seed}.npz"
            model = HistGradientBoostingClassifier(
                **best[1], random_state=seed, early_stopping=False
            )
            model.fit(columns["train"], label["train"])
            path.parent.mkdir(parents=True, exist_ok=True)
            scores = {
                f"{part}_cvr": model.predict_proba(columns[part])[:, 1]
                for part in ("validation", "test")
            }
            np.savez(path, **scores)
        write_json(RESULTS / f"boosting-{variant}.json", {"validation": best[0], **best[1]})


def _first(pair: tuple[float, Any]) -> float:
    return pair[0]


def _columns(data: Prepared, part: str) -> np.ndarray:
    """Returns features as numbers; text as the number of its value, ids of many values left out."""
    table = data.table(part).to_pandas()
    found = []
    for feature in data.schema.features:
        if feature.multi_valued or feature.name in ("user_id", "video_id", "author_id"):
            continue
        values = table[feature.name]
        if feature.dtype == "string":
            known = json.loads((data.vocabularies / f"{feature.name}.json").read_text())["values"]
            number = {value: i for i, value in enumerate(known)}
            values = values.map(number).fillna(-1)
        found.append(values.to_numpy(np.float32))
    return np.stack(found, 1)


def _label(data: Prepared, part: str) -> np.ndarray:
    return data.table(part, columns=["conversion"])["conversion"].to_numpy()


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
    given = parser.parse_args(arguments)
    if given.step == "prepare":
        prepare_all(given.raw, given.work)
    elif given.step == "run":
        boosted(given.work, given.seeds)
        for cell in cells(given.seeds):
            run(cell, given.work)
    else:
        from benchmarks.history.kuairand_table import write_table

        write_table(given.work, truth(given.work, "validation"), truth(given.work, "test"))


if __name__ == "__main__":
    main()
