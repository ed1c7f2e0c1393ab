"""How long a training step waits for its batch; started by `benchmarks.training`.

A loop of its own in place of fit's, with the model's own step and the data set that fit would
iterate: what passes before a batch is there is waiting, the rest is the step. Rows come from a
Parquet file, and every id is looked up in a vocabulary of its field.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import training_rows as rows
from benchmarks.training_ours import frame
from idefn_tf.backbones import MLP
from idefn_tf.data import dataset as datasets
from idefn_tf.data import open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.schema import Schema

#: Steps that are timed, after as many that are not.
STEPS = 150


def measure(folder: Path, table_rows: int, held: bool) -> dict[str, Any]:
    """Trains on a Parquet file, held in memory or streamed, and tells where the time went."""
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
    model = ESMM(features, MLP(rows.TOWERS, batch_norm=False))
    model.compile(RowSparseAdam(rows.RATE))
    model.build()
    model.optimizer.build(model.trainable_variables)
    datasets.CACHE_ROWS = 10**9 if held else 0
    dataset = open_dataset(schema, folder, batch_size=rows.BATCH, shuffle=True, drop_remainder=True)
    step = tf.function(model.train_step, autograph=False)
    waited, worked = [], []
    batches = iter(model.prepare(dataset))
    for _ in range(2 * STEPS):
        begun = time.perf_counter()
        batch = next(batches)
        there = time.perf_counter()
        step(batch)
        waited.append(there - begun)
        worked.append(time.perf_counter() - there)
    waits, works = np.array(waited[STEPS:]), np.array(worked[STEPS:])
    return {
        "waiting_share": round(float(waits.sum() / (waits.sum() + works.sum())), 4),
        "waiting_ms": round(float(waits.mean()) * 1000, 3),
        "step_ms": round(float(works.mean()) * 1000, 2),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table-rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        made = rows.make(rows.BATCH * 2 * STEPS, given.table_rows)
        frame(made).to_parquet(Path(folder) / "rows.parquet", row_group_size=131_072)
        found = {
            name: measure(Path(folder), given.table_rows, held)
            for name, held in (("held", True), ("streamed", False))
        }
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
