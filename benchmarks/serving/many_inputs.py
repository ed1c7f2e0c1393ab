"""An export of 46 inputs, for benchmarks.serving.grpc_door: ids, numbers, text and a weighted list.

The weights are drawn, not trained: time does not depend on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from idefn_tf.backbones import MLP
from idefn_tf.export import export_model
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.schema import Schema

WORDS = [f"word_{number}" for number in range(20)]


def _feature(name: str, dtype: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "side": "item", "kind": kind, **more}


SCHEMA = Schema.parse(
    {
        "name": "many_inputs",
        "labels": {"click": "click", "conversion": "conversion"},
        "embedding_width": 16,
        "features": [
            *[_feature(f"id_{n:02d}", "int64", "hash", num_buckets=10_000) for n in range(30)],
            *[_feature(f"number_{n}", "float32", "numeric", log1p=True) for n in range(8)],
            *[_feature(f"text_{n}", "string", "vocabulary") for n in range(6)],
            _feature("tags", "string", "vocabulary", max_length=4, weights="tags_weights"),
        ],
    }
)


def write(base: Path) -> Path:
    """Exports version 1 below a folder.

    Args:
        base: The model's folder.

    Returns:
        The version's folder.
    """
    keras.utils.set_random_seed(0)
    names = [*(f"text_{n}" for n in range(6)), "tags"]
    vocabularies = {name: {"values": WORDS} for name in names}
    features = FeatureColumns.from_schema(SCHEMA, vocabularies)
    return export_model(ESMM(features, MLP(units=(128, 64))), SCHEMA, base)


def rows(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Typed inputs of made rows, by name.

    Args:
        count: How many.
        seed: Draws the values.
    """
    draw = np.random.default_rng(seed)
    words = np.array([word.encode() for word in WORDS], object)
    found: dict[str, np.ndarray] = {}
    for n in range(30):
        found[f"id_{n:02d}"] = draw.integers(0, 1_000_000, count)
    for n in range(8):
        found[f"number_{n}"] = draw.lognormal(2, 1, count).astype(np.float32)
    for n in range(6):
        found[f"text_{n}"] = draw.choice(words, count)
    found["tags"] = draw.choice(words, (count, 4))
    found["tags_weights"] = draw.random((count, 4)).astype(np.float32)
    return found
