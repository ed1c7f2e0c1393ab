"""The training benchmark's task in idefn_tf; started by `benchmarks.training`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from benchmarks.training import rows
from benchmarks.training.profile import Profiled
from idefn_tf.backbones import MLP
from idefn_tf.data import open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.schema import Schema
from serving.common.command_line import command_parser


def schema(table_rows: int) -> Schema:
    """Twenty fields of whole numbers that index a table."""
    size = table_rows // rows.FIELDS
    field = {"dtype": "int64", "side": "user", "kind": "identity", "num_buckets": size}
    features = [{"name": f"f{i}", **field, "embedding": rows.WIDTH} for i in range(rows.FIELDS)]
    labels = {"click": "click", "conversion": "conversion"}
    return Schema.parse({"name": "made", "labels": labels, "features": features})


def frame(made: rows.Made) -> pd.DataFrame:
    """The rows as a table."""
    targets = {"click": made.click, "conversion": made.conversion}
    return pd.DataFrame({**made.columns(), **targets})


def run(
    table_rows: int,
    stretches: int,
    judged: bool,
    steps: int,
    policy: str = "float32",
    profiled: bool = False,
) -> dict[str, Any]:
    """Trains through ``fit`` and measures.

    Args:
        table_rows: ids of all fields together.
        stretches: how many stretches of batches to train.
        judged: whether to score the rows held out.
        steps: how many Keras takes at once.
        policy: Keras' dtype policy, which the towers follow.
        profiled: whether TensorFlow's profiler watches the last stretch; it slows it a little.
    """
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    train, held_out = rows.task(table_rows)
    train = train.part(0, rows.BATCH * rows.STRETCH * stretches)
    described = schema(table_rows)
    features = FeatureColumns.from_schema(described, {})
    model = ESMM(features, MLP(rows.TOWERS, batch_norm=False))
    model.compile(RowSparseAdam(rows.RATE), steps_per_execution=steps)
    dataset = open_dataset(described, frame(train), batch_size=rows.BATCH, encode=features)
    watch = rows.Watch()
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: watch.batch(steps)
    )
    with tempfile.TemporaryDirectory() as folder:
        eyes = Profiled(Path(folder), rows.STRETCH * (stretches - 1), rows.STRETCH)
        history = model.fit(dataset, verbose=0, callbacks=[callback, *[eyes] * profiled]).history
        seen = eyes.timeline() if profiled else None
    found: dict[str, Any] = {**watch.result(), "tensorflow": tf.__version__}
    found["metrics_in_fit"] = len(history)
    found["distinct_rows"] = rows.distinct(train)
    if seen is not None:
        found["profiler"] = {**seen.waiting(), "parts_ms": seen.parts()}
    if judged:
        scored = model.predict(open_dataset(described, frame(held_out), batch_size=8192), verbose=0)
        found |= rows.aucs(held_out, scored["ctr"], scored["ctcvr"])
    return found


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.ours", __doc__)
    parser.add_argument("--table-rows", type=int, default=1_000_000)
    parser.add_argument("--stretches", type=int, default=rows.STRETCHES)
    parser.add_argument("--steps-per-execution", type=int, default=rows.STEPS_PER_EXECUTION)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--not-judged", action="store_true")
    parser.add_argument("--policy", default="float32", help="Keras' dtype policy")
    parser.add_argument("--profile", action="store_true", help="profile the last stretch")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    found = run(
        given.table_rows,
        given.stretches,
        not given.not_judged,
        given.steps_per_execution,
        given.policy,
        given.profile,
    )
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
