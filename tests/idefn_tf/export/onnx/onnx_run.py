"""A small table whose ids try a conversion: sparse, negative, and larger than float64 holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from idefn_tf.backbones import MLP
from idefn_tf.data import learn_vocabularies
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.schema import Schema

#: Neighbours beyond 2**53, which float64 takes for one.
LARGE = 2**53
SCHEMA = Schema.parse(
    {
        "name": "wide_ids",
        "labels": {"click": "click", "conversion": "conversion"},
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "device", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "shift", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "shop", "dtype": "int64", "side": "item", "kind": "hash", "num_buckets": 32},
            {"name": "brand", "dtype": "int64", "side": "item", "kind": "vocabulary",
             "oov_buckets": 3},
            {"name": "segment", "dtype": "string", "side": "user", "kind": "vocabulary",
             "oov": "zero"},
            {"name": "at", "dtype": "int64", "side": "user", "kind": "bucketized",
             "boundaries": [-5, 18, LARGE], "missing": 0},
            {"name": "depth", "dtype": "float32", "side": "item", "kind": "bucketized",
             "boundaries": [0.5, 2.5], "missing": 1.0},
            {"name": "tags", "dtype": "string", "side": "item", "kind": "vocabulary",
             "max_length": 3, "weights": "tag_weights", "combiner": "mean"},
            {"name": "topics", "dtype": "int64", "side": "item", "kind": "identity",
             "num_buckets": 20, "max_length": 2, "combiner": "sqrtn"},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric",
             "log1p": True},
            {"name": "margin", "dtype": "float32", "side": "item", "kind": "numeric",
             "missing": 5.0},
            {"name": "hour", "dtype": "int64", "side": "context", "kind": "identity",
             "num_buckets": 24},
            {"name": "position", "dtype": "int64", "side": "context", "kind": "identity",
             "num_buckets": 10, "train_only": True, "serving_value": 3},
        ],
    }
)  # fmt: skip


def make_frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Exposures whose labels depend on user and price."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 4, rows)
    frame = pd.DataFrame(
        {
            "user": rng.integers(0, 40, rows),
            "device": LARGE + rng.integers(0, 6, rows) * np.where(rng.random(rows) < 0.5, 1, 512),
            "shift": -rng.integers(2, 9, rows),
            "shop": rng.integers(-99, 10**9, rows),
            "brand": rng.integers(0, 9, rows) * 10**11,
            "segment": rng.choice(["a", "b", "ü c", None], rows),
            "at": rng.choice([-7, 0, 18, LARGE - 1, LARGE], rows),
            "depth": rng.choice([0.25, 0.5, 1.0, 2.5, np.nan], rows).astype(np.float32),
            "tags": [list(rng.choice(["x", "y", "z"], n)) for n in lengths],
            "tag_weights": [[float(w) for w in rng.choice([0.5, 1.0, 2.0], n)] for n in lengths],
            "topics": [[int(t) for t in rng.integers(0, 22, n % 3)] for n in lengths],
            "price": rng.lognormal(2, 1, rows).astype(np.float32),
            "margin": rng.normal(0, 1e-3, rows).astype(np.float32),
            "hour": rng.integers(0, 24, rows),
            "position": rng.integers(0, 10, rows),
        }
    )
    logit = (frame["user"] % 5) - 2 + 0.05 * frame["price"]
    frame["click"] = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    frame["conversion"] = (rng.random(rows) < 0.4).astype(int) * frame["click"]
    return frame


def make_model(
    schema: Schema = SCHEMA, frame: pd.DataFrame | None = None, **options: object
) -> ESMM:
    """A model of weights drawn at random, wide enough for rows to differ."""
    frame = make_frame() if frame is None else frame
    vocabularies = learn_vocabularies(schema, frame)
    features = FeatureColumns.from_schema(schema, vocabularies, **options)
    model = ESMM(features, MLP(units=(8, 4), batch_norm=True))
    model.build()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        drawn = rng.normal(0, 0.4, weight.shape)
        weight.assign(np.abs(drawn) + 0.5 if "variance" in weight.path else drawn)
    return model


def write_run(folder: Path, model: ESMM) -> Path:
    """Writes a run's folder as training leaves it."""
    (folder / "vocabularies").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    SCHEMA.save(folder / "schema.yaml")
    (folder / "config.yaml").write_text("method: esmm\n")
    for name, value in learn_vocabularies(SCHEMA, make_frame()).items():
        (folder / "vocabularies" / f"{name}.json").write_text(json.dumps(value))
    model.save(folder / "checkpoints" / "best.keras")
    return folder
