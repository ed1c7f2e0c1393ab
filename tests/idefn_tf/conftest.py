"""Small features for the tests of backbones and methods, and processes with two devices."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow.python.framework import func_graph

from idefn_tf.data import learn_vocabularies
from idefn_tf.features import FeatureColumns
from idefn_tf.features.field import Field
from idefn_tf.history import attach
from idefn_tf.schema import Schema
from idefn_tf.transport import match

ROOT = Path(__file__).resolve().parents[2]
#: Logical devices must be set before TensorFlow starts, hence a process of its own.
TWO_DEVICES = """
import sys
import keras, numpy as np, pandas as pd, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
"""
#: What scripts that train begin with: two fields of ids and 640 exposures.
TOY_LOG = """
from idefn_tf.backbones import MLP
from idefn_tf.data import open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import get_method
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.schema import Schema

schema = Schema.parse({
    "name": "t", "labels": {"click": "click", "conversion": "conversion"}, "embedding_width": 8,
    "features": [
        {"name": "u", "dtype": "int64", "side": "user", "kind": "identity", "num_buckets": 501},
        {"name": "i", "dtype": "int64", "side": "item", "kind": "identity", "num_buckets": 30},
    ]})
rng, n = np.random.default_rng(0), 640
click = (rng.random(n) < 0.4).astype(int)
frame = pd.DataFrame({"u": rng.integers(0, 501, n), "i": rng.integers(0, 30, n), "click": click,
                      "conversion": click * (rng.random(n) < 0.4)})
"""


@pytest.fixture
def one_by_one(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The transport's operations run one by one, where its programs are not the question.

    To trace and compile a program takes two to seven seconds for every solver, type and size.
    Tests marked `xla` run them as users do. Not for tests that fit: data sets have programs.
    """
    if request.node.get_closest_marker("xla"):
        yield
        return
    monkeypatch.setitem(match.__kwdefaults__, "jit_compile", False)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


class Traces:
    """How many graphs TensorFlow has drawn from Python functions.

    Attributes:
        count: since the fixture began.
    """

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Traces:
    """Counts what TensorFlow traces; everything is traced as before."""
    counter, draw = Traces(), func_graph.func_graph_from_py_func

    def counted(*args: Any, **kwargs: Any) -> Any:
        counter.count += 1
        return draw(*args, **kwargs)

    monkeypatch.setattr(func_graph, "func_graph_from_py_func", counted)
    return counter


@pytest.fixture(scope="session")
def tiny_features() -> Callable[[], FeatureColumns]:
    """Makes a layer of two embedded fields of width 4 and a number between: z has 9 columns."""

    def make() -> FeatureColumns:
        return FeatureColumns(
            [
                Field("user", "identity", "int64", 4, known=20, table="user", side="user"),
                Field("price", "numeric", "float32", 1, table="price"),
                Field("item", "identity", "int64", 4, known=10, table="item", side="item"),
            ],
            embedding_stddev=0.5,
        )

    return make


@pytest.fixture(scope="session")
def on_two_devices(warm_processes: Any) -> Callable[..., str]:
    """Runs a script where TensorFlow has CPU:0 and CPU:1 (and keras, np, pd, tf are imported).

    Given are the script and its arguments (sys.argv); returned is what it printed.
    """

    def run(script: str, *arguments: str) -> str:
        answer = warm_processes.run(
            [sys.executable, "-c", TWO_DEVICES + script, *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stdout[-500:] + answer.stderr[-3000:]
        return answer.stdout

    return run


@pytest.fixture(scope="session")
def toy_log() -> str:
    """A script's beginning that imports what training takes and makes `schema` and `frame`."""
    return TOY_LOG


#: A shop whose rows see the user's last three clicks: two tied parts of each, and the gap.
SHOP = {
    "name": "shop",
    "embedding_width": 4,
    "labels": {"click": "c", "conversion": "v", "exposure_time": "at", "time_unit": "s"},
    "features": [
        {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
        {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"},
        {"name": "brand", "dtype": "int64", "side": "item", "kind": "vocabulary", "oov": "zero",
         "embedding": 2},
        {"name": "tags", "dtype": "int64", "side": "item", "kind": "identity", "num_buckets": 5,
         "max_length": 2},
        {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"},
    ],
    "sequences": [
        {"name": "clicks", "key": "user", "condition": "clicked", "items": ["item", "brand"],
         "length": 3, "gap_hours": [1, 2]},
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """The schema, 96 exposures with their history, and the layers of both.

    Attributes:
        schema: with one sequence, `clicks`.
        log: exposures as recorded.
        rows: the same with history.
        vocabularies: learned from them.
    """

    schema: Schema
    log: pd.DataFrame
    rows: pd.DataFrame
    vocabularies: Any

    def features(self, encoder: Any = None, **options: Any) -> FeatureColumns:
        """Makes a layer; its rows are large enough to tell one from another."""
        options = {"embedding_stddev": 0.5, **options}
        return FeatureColumns.from_schema(
            self.schema, self.vocabularies, encoder=encoder, **options
        )

    def values(self, items: Any, brands: Any = None, gaps: Any = None, **other: Any) -> dict:
        """Makes a batch of raw features: clicked items [B, 3] and all else alike in every row."""
        items = np.int64(items)
        there = np.where(items == -1, -1, 0)
        made = {
            "user": np.zeros(len(items), np.int64),
            "item": np.full(len(items), 1, np.int64),
            "brand": np.full(len(items), 1, np.int64),
            "tags": np.full((len(items), 2), -1, np.int64),
            "price": np.ones(len(items), np.float32),
            "clicks__item": items,
            "clicks__brand": there if brands is None else np.int64(brands),
            "clicks__gap": there if gaps is None else np.int64(gaps),
        }
        return {name: tf.constant(value) for name, value in {**made, **other}.items()}


@pytest.fixture(scope="session")
def shop() -> Shop:
    """A small log with behaviour sequences; every third user never clicked before."""
    rng, n = np.random.default_rng(3), 96
    user, item = rng.integers(0, 9, n), rng.integers(0, 10, n)
    click = ((rng.random(n) < 0.6) & (user % 3 > 0)) | (rng.random(n) < 0.1)
    log = pd.DataFrame({
        "user": user, "item": item, "brand": item % 4,
        "tags": [rng.integers(0, 5, k).tolist() for k in rng.integers(0, 3, n)],
        "price": rng.normal(size=n).astype(np.float32), "c": click.astype(int),
        "v": (click & (item < 5)).astype(int), "at": np.sort(rng.integers(0, 20_000, n)),
    })  # fmt: skip
    schema = Schema.parse(SHOP)
    rows = attach(schema, log)
    return Shop(schema, log, rows, learn_vocabularies(schema, rows))
