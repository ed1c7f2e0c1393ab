"""A signature of many types, and rows for it."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import Signature

KINDS = {
    "a": tf.int64, "b": tf.int64, "c": tf.float32, "d": tf.float32, "e": tf.string,
    "f": tf.string, "g": tf.int32, "h": tf.float64, "k": tf.bool,
}  # fmt: skip


@pytest.fixture(scope="session")
def many_types(saved_models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A model of many types; the first input comes back, doubled, with two columns' sum."""

    def many(a, b, c, d, e, f, g, h, k, w):
        return {"y": 2 * a - b, "z": tf.reduce_sum(w, 1) + c - 2 * d}

    folder = tmp_path_factory.mktemp("many") / "1"
    inputs = [saved_models.vector(name, kind) for name, kind in KINDS.items()]
    inputs.append(tf.TensorSpec([None, 2], tf.float32, name="w"))
    saved_models.export(folder, serving_default=(many, inputs))
    found = Servable("many", 1, folder)
    yield found
    found.retire()
    assert found.close_if_idle()


@pytest.fixture(scope="session")
def signature(many_types: Servable) -> Signature:
    return many_types.signatures["serving_default"]


@pytest.fixture(scope="session")
def values() -> Any:
    """A function of a number of rows that draws them: texts of up to 199 bytes."""

    def drawn(rows: int, longest: int = 200) -> dict[str, np.ndarray]:
        draw = np.random.default_rng(rows)
        found = {}
        for name, kind in KINDS.items():
            whole = draw.integers(-(2**31), 2**31, rows)
            found[name] = (
                np.array([b"\xff" * int(n % longest) for n in whole] + [None], object)[:-1]
                if kind == tf.string
                else whole.astype(kind.as_numpy_dtype)
            )
        found["w"] = draw.random((rows, 2)).astype(np.float32)
        return found

    return drawn
