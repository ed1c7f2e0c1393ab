"""A model whose answer takes as long as one asks."""

from pathlib import Path
from types import ModuleType

import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def slow_model(saved_models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that counts to its input, and one that doubles it."""
    folder = tmp_path_factory.mktemp("slow")

    def count(steps: tf.Tensor) -> dict[str, tf.Tensor]:
        end = tf.reduce_max(steps)
        turns = tf.while_loop(lambda i: i < end, lambda i: (i + 1,), (tf.constant(0, tf.int64),))
        return {"done": steps + 0 * turns[0]}

    saved_models.export(
        folder / "slow/1",
        serving_default=(count, [saved_models.vector("steps", tf.int64)]),
        double=(lambda x: {"y": 2.0 * x}, [saved_models.vector("x", tf.float32)]),
    )
    batching = "max_batch_size { value: 4 } num_batch_threads { value: 1 }"
    batching += " max_enqueued_batches { value: 1 }"
    (folder / "batching.config").write_text(batching)
    return folder
