"""Small features for the tests of backbones and methods, and processes with two devices."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from idefn_tf.features import FeatureColumns
from idefn_tf.features.field import Field

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
