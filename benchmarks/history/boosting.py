"""Gradient boosting on the study's columns, tuned as the networks were: two libraries.

``python -m benchmarks.history.boosting search --work WORK``
``python -m benchmarks.history.boosting score --work WORK --seeds 0 1 2``

`search` draws `TRIALS` settings, as many as the networks had, and gives both libraries the same. It
scores validation all_funnel alone and goes on with the trials that are missing. `score` fits the
best of each library, once a seed, and keeps scores as `kuairand_study` does. LightGBM is no
requirement of this project: ``pip install lightgbm==4.7.0`` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf._files import read_json, write_json
from pipelines.preparation.prepared_folder import Prepared
from serving.common.command_line import command_parser

RESULT = Path(__file__).parents[1] / "results" / "history" / "boosting.json"
VARIANTS = ("none", "aggregates")
LIBRARIES = ("scikit-learn", "lightgbm")
PARTS = ("train", "validation", "test")
TRIALS = 38  # two random searches of 24 and 14 trials found the networks' recipe
Settings = Mapping[str, float]
Columns = Mapping[str, np.ndarray]


def draw(count: int, seed: int = 0) -> list[dict[str, float]]:
    """Draws settings, each between its limits, on a log scale but for the share of columns."""
    chance = np.random.default_rng(seed)

    def between(low: float, high: float) -> float:
        return float(np.exp(chance.uniform(np.log(low), np.log(high))))

    return [
        {
            "learning_rate": round(between(0.02, 0.2), 4),
            "trees": round(between(50, 500)),
            "leaves": round(between(4, 63)),
            "rows_in_leaf": round(between(20, 500)),
            "l2": round(between(0.1, 30), 3),
            "share_of_columns": float(chance.choice([0.3, 0.6, 1.0])),
        }
        for _ in range(count)
    ]


def classifier(library: str, settings: Settings, seed: int) -> Any:
    """Returns a library's classifier; columns are sampled anew at every split by both."""
    if library == "scikit-learn":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=settings["learning_rate"],
            max_iter=int(settings["trees"]),
            max_leaf_nodes=int(settings["leaves"]),
            min_samples_leaf=int(settings["rows_in_leaf"]),
            l2_regularization=settings["l2"],
            max_features=settings["share_of_columns"],
            random_state=seed,
            early_stopping=False,
        )
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        learning_rate=settings["learning_rate"],
        n_estimators=int(settings["trees"]),
        num_leaves=int(settings["leaves"]),
        min_child_samples=int(settings["rows_in_leaf"]),
        reg_lambda=settings["l2"],
        colsample_bynode=settings["share_of_columns"],
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        verbose=-1,
    )


def search(work: Path) -> None:
    """Scores the trials that are missing on validation rows and keeps each as it ends."""
    found = read_json(RESULT) if RESULT.exists() else {}
    for variant in VARIANTS:
        columns, label = _rows(work, variant)
        for library in LIBRARIES:
            done = found.setdefault(variant, {}).setdefault(library, [])
            for trial in trials(library, columns, label, len(done)):
                done.append(trial)
                write_json(RESULT, found)


def trials(
    library: str, columns: Columns, label: Columns, done: int = 0, until: int = TRIALS
) -> Iterator[dict[str, float]]:
    """Yields trial after trial with its AUC of validation rows, without the first `done`."""
    from sklearn.metrics import roc_auc_score

    for settings in draw(until)[done:]:
        score = scores(library, settings, 0, columns, label)["validation"]
        value = float(roc_auc_score(label["validation"], score))
        yield {"validation all_funnel": round(value, 6), **settings}


def scores(
    library: str, settings: Settings, seed: int, columns: Columns, label: Columns
) -> dict[str, np.ndarray]:
    """Fits train rows and returns the probabilities of validation and test rows."""
    model = classifier(library, settings, seed).fit(columns["train"], label["train"])
    return {part: model.predict_proba(columns[part])[:, 1] for part in PARTS[1:]}


def best(found: Mapping[str, Any], variant: str, library: str) -> dict[str, float]:
    """Returns the trial with the highest validation AUC; the first of equals."""
    given: list[dict[str, float]] = found[variant][library]
    return max(given, key=_validation)


def better(found: Mapping[str, Any], variant: str) -> str:
    """Returns the library whose best trial is ahead on validation."""
    return max(LIBRARIES, key=lambda library: _validation(best(found, variant, library)))


def score(work: Path, seeds: Sequence[int]) -> None:
    """Fits the best of each library and keeps scores of validation and test rows, once a seed."""
    found = read_json(RESULT)
    for variant in VARIANTS:
        columns, label = _rows(work, variant)
        for library in LIBRARIES:
            for seed in seeds:
                path = work / "scores" / f"{variant}-{cell_name(library)}-none-{seed}.npz"
                if path.exists():
                    continue
                settings = best(found, variant, library)
                given = scores(library, settings, seed, columns, label)
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, **{f"{part}_cvr": values for part, values in given.items()})


def cell_name(library: str) -> str:
    """Returns a library's name in files and rows of the table."""
    return library.replace("-", "_")


def _validation(trial: Mapping[str, float]) -> float:
    return trial["validation all_funnel"]


def _rows(work: Path, variant: str) -> tuple[Columns, Columns]:
    """Returns columns and labels by part; labels are those that the networks learn."""
    data = Prepared.open(work / "data" / variant)
    labels = {part: data.table(part, columns=["conversion"])["conversion"] for part in PARTS}
    return (
        {part: _columns(data, part) for part in PARTS},
        {part: label.to_numpy() for part, label in labels.items()},
    )


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


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.history.boosting", __doc__)
    parser.add_argument("step", choices=["search", "score"])
    parser.add_argument("--work", type=Path, required=True, help="prepared data and scores")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    given = parser.parse_args(arguments)
    if given.step == "search":
        search(given.work)
    else:
        score(given.work, given.seeds)


if __name__ == "__main__":
    main()
