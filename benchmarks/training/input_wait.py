"""How long a training step waits for its batch; started by `benchmarks.training`.

``fit`` trains on rows of Parquet files (held in memory, or streamed) and of TFRecord files
(streamed), and, if there is a prepared folder, on that; every id is looked up in a vocabulary of
its field. TensorFlow's profiler watches a warm stretch and says how long the iterator was asked
for a batch until it was there. Beside it stands a clock of our own: a loop in place of fit's, over
the data set that fit iterates, where what passes before a batch is there is waiting.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from benchmarks.training import rows
from benchmarks.training.ours import frame
from benchmarks.training.profile import Profiled
from idefn_tf.backbones import MLP
from idefn_tf.data import EpochClock, open_dataset
from idefn_tf.data import dataset as datasets
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.schema import Schema
from idefn_tf.tables import look_ahead
from pipelines.experiment.build import build_model
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import open_train
from serving.common.command_line import command_parser

#: Batches that are timed, after as many that are not.
STEPS = 150


def made_task(table_rows: int) -> tuple[Schema, ESMM]:
    """Returns the benchmark's model with a vocabulary for each field, and its schema."""
    size = table_rows // rows.FIELDS
    field = {"dtype": "int64", "side": "user", "kind": "vocabulary", "embedding": rows.WIDTH}
    schema = Schema.parse(
        {
            "name": "made",
            "labels": {"click": "click", "conversion": "conversion"},
            "features": [{"name": f"f{i}", **field} for i in range(rows.FIELDS)],
        }
    )
    known = {"kind": "vocabulary", "values": list(range(size))}
    features = FeatureColumns.from_schema(schema, {f"f{i}": known for i in range(rows.FIELDS)})
    return schema, ESMM(features, MLP(rows.TOWERS, batch_norm=False))


def write(folder: Path, made: rows.Made) -> dict[str, Path]:
    """Writes rows as Parquet and as TFRecord and returns where each is."""
    table = frame(made)
    places = {kind: folder / kind for kind in ("parquet", "tfrecord")}
    for place in places.values():
        place.mkdir()
    table.to_parquet(places["parquet"] / "rows.parquet", row_group_size=131_072)
    with tf.io.TFRecordWriter(str(places["tfrecord"] / "rows.tfrecord")) as writer:
        for example in examples(table):
            writer.write(example)
    return places


def examples(table: pd.DataFrame) -> list[bytes]:
    """Returns every row as a serialized ``tf.train.Example`` of whole numbers."""

    def whole(value: Any) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

    names = list(table)
    made = []
    for row in table.itertuples(index=False):
        feature = {name: whole(value) for name, value in zip(names, row, strict=True)}
        made.append(
            tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
        )
    return made


def measure(model: Any, dataset: tf.data.Dataset, first: int, batches: int) -> dict[str, Any]:
    """Tells where the time of a compiled model's training goes, by profiler and by clock.

    Args:
        model: `EntireSpaceModel`.
        dataset: of at least `first` + `batches` raw batches.
        first: batches left out.
        batches: those looked at.
    """
    with tempfile.TemporaryDirectory() as folder:
        eyes = Profiled(Path(folder), first, batches)
        model.fit(dataset, verbose=0, callbacks=[eyes])
        profiler = eyes.timeline().waiting()
    return {"profiler": profiler, "clock": by_clock(model, dataset, first, batches)}


def by_clock(model: Any, dataset: tf.data.Dataset, first: int, batches: int) -> dict[str, Any]:
    """Takes the same steps in a loop of its own and times what comes before and after a batch."""
    step = tf.function(model.train_step, autograph=False)
    waited, worked = [], []
    dealt = iter(look_ahead(dataset))
    for _ in range(first + batches):
        begun = time.perf_counter()
        batch = next(dealt)
        there = time.perf_counter()
        step(batch)
        waited.append(there - begun)
        worked.append(time.perf_counter() - there)
    waits, works = np.array(waited[first:]), np.array(worked[first:])
    return {
        "waiting_share": round(float(waits.sum() / (waits.sum() + works.sum())), 4),
        "waiting_ms": round(float(waits.mean()) * 1000, 3),
        "step_ms": round(float(works.mean()) * 1000, 2),
    }


def on_made_rows(table_rows: int, kind: str, place: Path, held: bool) -> dict[str, Any]:
    """Measures on made rows from one kind of file, held in memory or streamed."""
    schema, model = made_task(table_rows)
    model.compile(RowSparseAdam(rows.RATE), steps_per_execution=rows.STEPS_PER_EXECUTION)
    before = datasets.CACHE_ROWS
    datasets.CACHE_ROWS = 10**9 if held else 0
    try:
        dataset = open_dataset(
            schema,
            place / f"rows.{kind}",
            batch_size=rows.BATCH,
            shuffle=True,
            drop_remainder=True,
            encode=model.features,
        )
        return measure(model, dataset, STEPS, STEPS)
    finally:
        datasets.CACHE_ROWS = before


def on_prepared(data: Prepared) -> dict[str, Any]:
    """Measures on a prepared folder, with towers of 128-64: one epoch, its first third left out."""
    config = Config.parse({"method": "esmm", "backbone": {"name": "mlp", "units": [128, 64]}})
    model = build_model(config, data.schema, read_vocabularies(data.vocabularies))
    model.compile(RowSparseAdam(rows.RATE), steps_per_execution=rows.STEPS_PER_EXECUTION)
    size = config.training.batch_size
    tens = data.card["splits"]["train"]["rows"] // size // rows.STEPS_PER_EXECUTION
    first = tens // 3 * rows.STEPS_PER_EXECUTION
    batches = tens * rows.STEPS_PER_EXECUTION - first
    dataset = open_train(data, config.training, EpochClock(), encode=model.features)
    found = measure(model, dataset, first, batches)
    return {**found, "batch": size}


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.input_wait", __doc__)
    parser.add_argument("--table-rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="a prepared folder, measured as well")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    keras.utils.set_random_seed(0)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        places = write(Path(folder), rows.make(rows.BATCH * 2 * STEPS, given.table_rows))
        for name, kind, held in (
            ("held", "parquet", True),
            ("streamed", "parquet", False),
            ("streamed_tfrecord", "tfrecord", False),
        ):
            found[name] = on_made_rows(given.table_rows, kind, places[kind], held)
    if given.data:
        data = Prepared.open(given.data)
        found[data.card["dataset"]] = on_prepared(data)
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
