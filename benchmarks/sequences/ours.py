"""The sequence benchmark's task in idefn_tf; started by `benchmarks.sequences`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from benchmarks.sequences import rows
from benchmarks.training.profile import Profiled
from benchmarks.training.rows import STEPS_PER_EXECUTION
from idefn_tf import encoders
from idefn_tf.backbones import MLP
from idefn_tf.data import open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.metrics import auc
from idefn_tf.models import ESMM
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.schema import Schema
from serving.common.command_line import command_parser


def schema(length: int) -> Schema:
    """Five features of whole numbers that index a table, and the last clicks."""
    features = [
        {
            "name": name,
            "dtype": "int64",
            "side": "item" if name in rows.ITEMS else "user",
            "kind": "identity",
            "num_buckets": size + 1,
            "embedding": rows.WIDTH,
        }
        for name, size in rows.SIZES.items()
    ]
    clicks = {"name": "clicks", "key": "user", "condition": "clicked", "items": list(rows.ITEMS)}
    return Schema.parse(
        {
            "name": "made",
            "labels": {"click": "click", "conversion": "conversion", "exposure_time": "at"},
            "features": features,
            "sequences": [{**clicks, "length": length}],
        }
    )


def write(made: rows.Made, path: Path) -> str:
    """Writes the rows as Parquet, histories as lists."""
    ends = np.concatenate([[0], np.cumsum(made.lengths)]).astype(np.int32)
    there = np.arange(made.histories["item"].shape[1]) < made.lengths[:, None]
    lists = {
        f"clicks__{name}": pa.ListArray.from_arrays(ends, values[there].astype(np.int64))
        for name, values in made.histories.items()
    }
    ids = {name: values.astype(np.int64) for name, values in made.columns.items()}
    labels = {"click": made.click, "conversion": made.conversion}
    pq.write_table(pa.table({**ids, **lists, **labels}), path)
    return str(path)


def run(
    encoder: str, length: int, stretches: int, judged: bool, steps: int, profiled: bool = False
) -> dict[str, Any]:
    """Trains through ``fit`` and measures.

    Args:
        encoder: by name; `din` with the layers of all libraries.
        length: of the padded histories.
        stretches: how many stretches of batches to train.
        judged: whether to score the rows held out.
        steps: how many Keras takes at once.
        profiled: whether TensorFlow's profiler watches the last stretch; it slows it a little.
    """
    keras.utils.set_random_seed(0)
    train, held_out = rows.task(length, stretches)
    described = schema(length)
    chosen = encoders.DINEncoder(rows.UNITS) if encoder == "din" else encoders.get(encoder)
    features = FeatureColumns.from_schema(described, {}, encoder=chosen)
    model = ESMM(features, MLP(rows.TOWERS, batch_norm=False))
    model.compile(RowSparseAdam(rows.RATE), steps_per_execution=steps)
    watch = rows.Clock()
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: watch.batch(steps)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = write(train, Path(folder) / "train.parquet")
        events = float(train.lengths.mean())
        del train
        dataset = open_dataset(described, path, batch_size=rows.BATCH, encode=features)
        watch.start()
        eyes = Profiled(Path(folder), rows.STRETCH * (stretches - 1), rows.STRETCH)
        history = model.fit(dataset, verbose=0, callbacks=[callback, *[eyes] * profiled]).history
        seen = eyes.timeline() if profiled else None
        found: dict[str, Any] = {**watch.result(), "tensorflow": tf.__version__}
        found |= {"metrics_in_fit": len(history), "events_per_row": round(events, 2)}
        found["loss"] = history["loss"][-1]
        if seen is not None:
            found["profiler"] = {**seen.waiting(), "parts_ms": seen.parts()}
        if judged:
            path = write(held_out, Path(folder) / "held_out.parquet")
            scored = model.predict(open_dataset(described, path, batch_size=8192), verbose=0)
            found["ctr_auc"] = round(auc(held_out.click, scored["ctr"]), 4)
    return found


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.sequences.ours", __doc__)
    parser.add_argument("--encoder", default="din")
    parser.add_argument("--length", type=int, default=rows.LENGTH)
    parser.add_argument("--stretches", type=int, default=rows.STRETCHES)
    parser.add_argument("--steps-per-execution", type=int, default=STEPS_PER_EXECUTION)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--not-judged", action="store_true")
    parser.add_argument("--profile", action="store_true", help="profile the last stretch")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    found = run(
        given.encoder,
        given.length,
        given.stretches,
        not given.not_judged,
        given.steps_per_execution,
        given.profile,
    )
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
