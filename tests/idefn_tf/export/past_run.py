"""A small table with history and a behaviour sequence, a model trained on it, and its folders.

Loaded by path from conftest.py here and in tests/serving.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow as pa

from idefn_tf.backbones import MLP
from idefn_tf.data import learn_vocabularies, open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.history import attach, event_log
from idefn_tf.models import ESMM
from idefn_tf.schema import Schema

#: More than float64 holds exactly: neighbours must stay apart.
LARGE = 2**53
PRIORS = {"click": 0.25, "conversion": 0.125}
DAY = 86_400
BEGIN = 1_700_006_400  # 2023-11-15 00:00 UTC

SCHEMA = Schema.parse(
    {
        "name": "past",
        "labels": {"click": "click", "conversion": "conversion", "exposure_time": "at",
                   "time_unit": "s"},
        "user_key": "user",
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "hash", "num_buckets": 64},
            {"name": "city", "dtype": "string", "side": "user", "kind": "vocabulary"},
            {"name": "video", "dtype": "int64", "side": "item", "kind": "vocabulary"},
            {"name": "tag", "dtype": "string", "side": "item", "kind": "vocabulary"},
        ],
        "history": {
            "refresh": "daily",
            "smoothing": 4,
            "aggregates": [
                {"key": "user", "events": ["exposure", "click"],
                 "measures": ["count", "rate", "hours_since"], "windows": ["2d", "all"]},
                {"key": ["user", "tag"], "events": ["click"], "measures": ["count", "rate"]},
                {"key": "city", "events": ["conversion"], "measures": ["rate"]},
            ],
        },
        "sequences": [
            {"name": "clicks", "key": "user", "condition": "clicked", "items": ["video", "tag"],
             "length": 3, "gap_hours": [24, 48]},
        ],
    }
)  # fmt: skip


def make_log(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    """Exposures of five days: eight users with ids next to each other, twelve videos."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "user": LARGE + rng.integers(0, 8, rows),
            "city": rng.choice(["a", "ü c", "b"], rows),
            "video": rng.integers(0, 12, rows),
            "tag": rng.choice(["x", "y", "z"], rows),
            "at": BEGIN + np.sort(rng.integers(0, 5 * DAY, rows)),
        }
    )
    frame["click"] = (rng.random(rows) < 0.3 + 0.05 * (frame["user"] % 8)).astype(int)
    frame["conversion"] = (rng.random(rows) < 0.5).astype(int) * frame["click"]
    return frame


@functools.cache
def make_frame() -> pd.DataFrame:
    """The log with its history."""
    return attach(SCHEMA, make_log(), priors=PRIORS)


@functools.cache
def vocabularies() -> dict[str, dict[str, object]]:
    """What the log teaches."""
    return learn_vocabularies(SCHEMA, make_frame())


def train() -> ESMM:
    """A trained model; not one that is any good."""
    keras.utils.set_random_seed(0)
    features = FeatureColumns.from_schema(SCHEMA, vocabularies())
    model = ESMM(features, MLP(units=(8, 4)))
    model.compile(jit_compile=False)
    model.fit(open_dataset(SCHEMA, make_frame(), batch_size=50), epochs=8, verbose=0)
    return model


def events() -> event_log.EventLog:
    """The log as events."""
    return event_log.from_table(SCHEMA, pa.Table.from_pandas(make_log()))


def write_prepared(folder: Path) -> Path:
    """Writes what a prepared folder keeps of its events."""
    (folder / "vocabularies").mkdir(parents=True)
    event_log.write(events(), folder / "events.parquet")
    (folder / "vocabularies" / "_history.json").write_text(json.dumps({"priors": PRIORS}))
    SCHEMA.save(folder / "schema.yaml")
    (folder / "card.json").write_text(json.dumps(card()))
    return folder


def card() -> dict[str, object]:
    """What a data card says of the days and of two generated features."""
    frame = make_frame()
    counts = frame["user__click_count__all"].astype(float)
    videos = pd.Series(np.concatenate(frame["clicks__video"].to_list()))
    top = videos.value_counts(normalize=True).head(5)
    return {
        "dataset": "past",
        "days": {"train": "2023-11-15..2023-11-18", "test": "2023-11-19..2023-11-19"},
        "splits": {"train": {"rows": len(frame)}},
        "features": {
            "user__click_count__all": {"kind": "numeric", "mean": counts.mean(),
                                       "std": counts.std(ddof=0)},
            "clicks__video": {"kind": "vocabulary",
                              "top": [{"value": int(v), "share": float(s)} for v, s in top.items()],
                              "missing": {"train": float((frame["clicks__video"].str.len() == 0)
                                                         .mean())}},
        },
    }  # fmt: skip


def write_run(folder: Path, model: ESMM) -> Path:
    """Writes a run's folder as training leaves it."""
    (folder / "vocabularies").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    SCHEMA.save(folder / "schema.yaml")
    (folder / "config.yaml").write_text("method: esmm\n")
    for name, value in vocabularies().items():
        (folder / "vocabularies" / f"{name}.json").write_text(json.dumps(value))
    (folder / "vocabularies" / "_history.json").write_text(json.dumps({"priors": PRIORS}))
    (folder / "card.json").write_text(json.dumps(card()))
    model.save(folder / "checkpoints" / "best.keras")
    return folder
