"""A SavedModel with the size of a served CVR model, for the serving benchmarks.

Twenty integer features, hashed into tables of 16 numbers each, feed two small towers; ctr, cvr and
ctcvr come out, rank 1. It stands in for the project's export where none is at hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

FEATURES = tuple(f"feature_{index:02d}" for index in range(20))
_BUCKETS, _WIDTH, _UNITS = 10_000, 16, (128, 64)


class Towers(tf.Module):
    """Embeddings, then one multi-layer perceptron per task."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = np.random.default_rng(seed)
        self.table = tf.Variable(
            draw.normal(0, 0.05, (len(FEATURES) * _BUCKETS, _WIDTH)).astype(np.float32)
        )
        self.layers = {
            task: [
                (
                    tf.Variable(draw.normal(0, (2 / size) ** 0.5, (size, units)).astype("float32")),
                    tf.Variable(np.zeros(units, "float32")),
                )
                for size, units in zip((len(FEATURES) * _WIDTH, *_UNITS), (*_UNITS, 1), strict=True)
            ]
            for task in ("ctr", "cvr")
        }

    def __call__(self, **features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores rows: ids [N] by feature to ctr, cvr and ctcvr [N]."""
        ids = tf.stack([features[name] for name in FEATURES], axis=1) % _BUCKETS
        ids += tf.range(len(FEATURES), dtype=tf.int64) * _BUCKETS
        flat = tf.reshape(tf.gather(self.table, ids), [-1, len(FEATURES) * _WIDTH])
        found = {}
        for task, layers in self.layers.items():
            hidden = flat
            for kernel, bias in layers[:-1]:
                hidden = tf.nn.relu(hidden @ kernel + bias)
            kernel, bias = layers[-1]
            found[task] = tf.sigmoid(tf.reshape(hidden @ kernel + bias, [-1]))
        return {**found, "ctcvr": found["ctr"] * found["cvr"]}


def write(path: Path, seed: int = 0) -> None:
    """Saves a model version.

    Args:
        path: The version's folder.
        seed: Draws the weights.
    """
    towers = Towers(seed)
    specs = {name: tf.TensorSpec([None], tf.int64, name=name) for name in FEATURES}
    signature = tf.function(towers.__call__).get_concrete_function(**specs)
    tf.saved_model.save(towers, str(path), signatures=signature)


def rows(count: int, seed: int = 0) -> dict[str, list[int]]:
    """Rows for the model, by feature."""
    draw = np.random.default_rng(seed)
    return {name: draw.integers(0, 1_000_000, count).tolist() for name in FEATURES}
