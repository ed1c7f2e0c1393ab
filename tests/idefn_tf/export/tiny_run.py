"""A small table with every kind of feature, a model trained on it, and its run folder.

Loaded by path from conftest.py here and in tests/serving.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd

from idefn_tf.backbones import MLP
from idefn_tf.data import learn_vocabularies, open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.schema import Schema

SCHEMA = Schema.parse(
    {
        "name": "tiny",
        "labels": {"click": "click", "conversion": "conversion"},
        "user_key": "user",
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            # ids this large are looked up in a hash table, small ones in an array
            {"name": "device", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "segment", "dtype": "string", "side": "user", "kind": "vocabulary"},
            {"name": "age", "dtype": "int64", "side": "user", "kind": "bucketized",
             "boundaries": [18, 30, 50], "missing": 0},
            {"name": "tags", "dtype": "string", "side": "item", "kind": "vocabulary",
             "max_length": 3, "weights": "tag_weights"},
            {"name": "topics", "dtype": "int64", "side": "item", "kind": "identity",
             "num_buckets": 20, "max_length": 2, "separator": ","},
            {"name": "shop", "dtype": "int64", "side": "item", "kind": "hash", "num_buckets": 32},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric",
             "log1p": True, "missing": 5.0},
            {"name": "hour", "dtype": "int64", "side": "context", "kind": "identity",
             "num_buckets": 24},
            {"name": "position", "dtype": "int64", "side": "context", "kind": "identity",
             "num_buckets": 10, "train_only": True, "serving_value": 3},
        ],
    }
)  # fmt: skip


def make_frame(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Exposures whose labels depend on user, price and position."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 4, rows)
    frame = pd.DataFrame(
        {
            "user": rng.integers(0, 40, rows),
            "device": rng.integers(0, 9, rows) * 10**12 + 7,
            "segment": rng.choice(["a", "b", "ü c", None], rows),
            "age": rng.integers(10, 80, rows),
            "tags": [list(rng.choice(["x", "y", "z"], n)) for n in lengths],
            "tag_weights": [[float(w) for w in rng.choice([0.5, 1.0, 2.0], n)] for n in lengths],
            "topics": [
                ",".join(map(str, rng.integers(0, 22, n))) for n in rng.integers(0, 4, rows)
            ],
            "shop": rng.integers(0, 99, rows),
            "price": rng.lognormal(2, 1, rows).astype(np.float32),
            "hour": rng.integers(0, 24, rows),
            "position": rng.integers(0, 10, rows),
        }
    )
    logit = (frame["user"] % 5) - 2 - 0.2 * frame["position"] + 0.05 * frame["price"]
    frame["click"] = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    frame["conversion"] = (rng.random(rows) < 0.4).astype(int) * frame["click"]
    return frame


def train(epochs: int = 2, seed: int = 0) -> ESMM:
    """A trained model; not one that is any good."""
    frame = make_frame(seed=seed)
    features = FeatureColumns.from_schema(SCHEMA, vocabularies())
    model = ESMM(features, MLP(units=(8, 4), batch_norm=True))
    model.compile(jit_compile=False)
    model.fit(open_dataset(SCHEMA, frame, batch_size=100), epochs=epochs, verbose=0)
    return model


@functools.cache
def vocabularies() -> dict[str, dict[str, object]]:
    """What the first frame teaches."""
    return learn_vocabularies(SCHEMA, make_frame())


def write_run(folder: Path, model: ESMM) -> Path:
    """Writes a run's folder as training leaves it."""
    (folder / "vocabularies").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    SCHEMA.save(folder / "schema.yaml")
    (folder / "config.yaml").write_text("method: esmm\n")
    for name, value in vocabularies().items():
        (folder / "vocabularies" / f"{name}.json").write_text(json.dumps(value))
    metrics = {"validation": {"all_funnel": {"cvr_auc": 0.61, "rows": 600}}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    card = {"dataset": "tiny", "schema_hash": SCHEMA.hash, "splits": {"train": {"rows": 600}}}
    card["features"] = describe(make_frame())
    (folder / "card.json").write_text(json.dumps(card))
    model.save(folder / "checkpoints" / "best.keras")
    return folder


def describe(frame: pd.DataFrame) -> dict[str, object]:
    """What a data card says of three of the features."""
    shop, price = frame["shop"].value_counts(normalize=True), frame["price"].astype(float)
    user = frame["user"].value_counts(normalize=True)
    rates = {"missing": {"train": 0.0, "validation": 0.0}}
    return {
        "shop": {"kind": "hash", "top": top(shop), **rates},
        "price": {"kind": "numeric", "mean": price.mean(), "std": price.std(ddof=0), **rates},
        "user": {
            "kind": "vocabulary",
            "top": top(user),
            "out_of_vocabulary": {"train": 0.0, "validation": 0.02},
            **rates,
        },
    }


def top(shares: pd.Series) -> list[dict[str, object]]:
    """The five most frequent values."""
    return [{"value": int(v), "share": float(s)} for v, s in shares.head(5).items()]
