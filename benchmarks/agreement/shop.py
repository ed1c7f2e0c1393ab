"""A shop's table with every kind of feature, and a small model trained on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from idefn_tf.backbones import MLP
from idefn_tf.data import learn_vocabularies, open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM, EntireSpaceModel
from idefn_tf.schema import Schema

_HOUR = 3_600_000
_START = 1_714_521_600_000
_FEATURES: list[dict[str, Any]] = [
    # ids as small as these are looked up in an array, larger ones in a hash table
    {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary", "oov_buckets": 3},
    {"name": "device", "dtype": "int64", "side": "user", "kind": "vocabulary", "missing": 7},
    {"name": "segment", "dtype": "string", "side": "user", "kind": "vocabulary"},
    {"name": "city", "dtype": "string", "side": "user", "kind": "vocabulary", "missing": "none",
     "oov": "zero"},
    {"name": "home", "dtype": "string", "side": "user", "kind": "vocabulary", "tied_to": "city"},
    {"name": "liked", "dtype": "int64", "side": "user", "kind": "vocabulary", "tied_to": "user",
     "max_length": 4, "combiner": "sum"},
    {"name": "age", "dtype": "int64", "side": "user", "kind": "bucketized",
     "boundaries": [18, 30, 50], "missing": 0},
    {"name": "code", "dtype": "string", "side": "item", "kind": "hash", "num_buckets": 64},
    {"name": "shop", "dtype": "int64", "side": "item", "kind": "hash", "num_buckets": 64},
    {"name": "shelf", "dtype": "int64", "side": "item", "kind": "identity", "num_buckets": 40},
    {"name": "tags", "dtype": "string", "side": "item", "kind": "vocabulary", "max_length": 3,
     "separator": "|", "weights": "tag_weights", "missing": "none"},
    {"name": "topics", "dtype": "int64", "side": "item", "kind": "identity", "num_buckets": 20,
     "max_length": 2, "weights": "topic_shares", "combiner": "sqrtn"},
    {"name": "words", "dtype": "string", "side": "item", "kind": "hash", "num_buckets": 64,
     "max_length": 5},
    {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric", "log1p": True},
    {"name": "rating", "dtype": "float32", "side": "item", "kind": "numeric", "missing": 4.5},
    {"name": "share", "dtype": "float32", "side": "item", "kind": "numeric", "standardize": False},
    {"name": "speed", "dtype": "float32", "side": "context", "kind": "bucketized",
     "boundaries": [-1.0, 2.0, 6.0]},
    {"name": "visits", "dtype": "int64", "side": "context", "kind": "numeric"},
    {"name": "moment", "dtype": "int64", "side": "context", "kind": "bucketized",
     "boundaries": [_START + hour * _HOUR for hour in (6, 12, 18)]},
    {"name": "position", "dtype": "int64", "side": "context", "kind": "identity",
     "num_buckets": 10, "train_only": True, "serving_value": 3},
]  # fmt: skip
SCHEMA = Schema.parse(
    {
        "name": "shop",
        "labels": {"click": "click", "conversion": "buy"},
        "missing_words": ["-"],
        "user_key": "user",
        "embedding_width": 4,
        "features": _FEATURES,
    }
)
#: Values that training knows, by feature; text in several scripts, with quotes and with blanks.
CITIES = ("none", "Köln", "大阪", " leading", "x 'y' \"z\"", "NA", "75001", "true", "e\u0301")
TAGS = ("none", "new", "hot deal", "ü", "NA", "7", "\U0001f525")
DEVICES = (*(k * 10**15 + 7 for k in range(9)), 2**53 + 1, 2**63 - 1, -5, 7)


def exposures(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Returns exposures of plain cells, for training."""
    rng = np.random.default_rng(seed)

    def lists(values: Any, most: int) -> list[list[Any]]:
        return [[values[i] for i in rng.integers(0, len(values), rng.integers(0, most))]
                for _ in range(rows)]  # fmt: skip

    tags, topics = lists(TAGS, 4), lists(range(20), 4)
    frame = pd.DataFrame(
        {
            "user": rng.integers(0, 30, rows),
            "device": [DEVICES[i] for i in rng.integers(0, len(DEVICES), rows)],
            "segment": rng.choice(["a", "b", "c d", "1.0"], rows),
            "city": rng.choice(CITIES, rows),
            "home": rng.choice(CITIES, rows),
            "liked": lists(range(30), 5),
            "age": rng.integers(10, 80, rows),
            "code": [f"{i:04d}" for i in rng.integers(0, 99, rows)],
            "shop": rng.integers(0, 99, rows),
            "shelf": rng.integers(0, 40, rows),
            "tags": tags,
            "tag_weights": [[float(len(tag)) for tag in some] for some in tags],
            "topics": topics,
            "topic_shares": [[1.0 / (1 + topic) for topic in some] for some in topics],
            "words": lists(["red", "blue", "green", "tall"], 6),
            "price": rng.lognormal(2, 1, rows),
            "rating": rng.uniform(1, 5, rows),
            "share": np.where(rng.random(rows) < 0.2, np.nan, rng.random(rows)),
            "speed": rng.normal(3, 3, rows),
            "visits": rng.poisson(5, rows),
            "moment": _START + rng.integers(0, 24 * _HOUR, rows),
            "position": rng.integers(0, 10, rows),
        }
    )
    logit = (frame["user"] % 5) - 2 + 0.05 * frame["price"] - 0.1 * frame["visits"]
    frame["click"] = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    frame["buy"] = frame["click"] * (rng.random(rows) < 0.4)
    return frame


def train(seed: int = 0) -> EntireSpaceModel:
    """Returns a trained model; not one that is any good, but every cell moves its scores."""
    frame = exposures(seed=seed)
    features = FeatureColumns.from_schema(
        SCHEMA, learn_vocabularies(SCHEMA, frame), embedding_stddev=0.5
    )
    model = ESMM(features, MLP(units=(16,)))
    model.compile(jit_compile=False)
    model.fit(open_dataset(SCHEMA, frame, batch_size=200), epochs=1, verbose=0)
    return model
