"""The training benchmark's task in DeepCTR, in its environment; see `benchmarks.training`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from deepctr.feature_column import SparseFeat
from deepctr.models import ESMM

from benchmarks.training import rows
from serving.common.command_line import command_parser


def run(table_rows: int, stretches: int, steps: int) -> dict[str, Any]:
    """Trains through ``fit`` and measures; the library's own L2 is off."""
    keras.utils.set_random_seed(0)
    train, held_out = rows.task(table_rows)
    train = train.part(0, rows.BATCH * rows.STRETCH * stretches)
    size = table_rows // rows.FIELDS
    fields = [SparseFeat(f"f{i}", size, embedding_dim=rows.WIDTH) for i in range(rows.FIELDS)]
    model = ESMM(fields, tower_dnn_hidden_units=rows.TOWERS, l2_reg_embedding=0.0)
    model.compile(
        keras.optimizers.Adam(rows.RATE),
        loss=["binary_crossentropy"] * 2,
        metrics=[["AUC"], ["AUC"]],
        steps_per_execution=steps,
    )
    watch = rows.Watch()
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: watch.batch(steps)
    )
    history = model.fit(
        train.columns("int32"),
        [train.click, train.conversion],
        batch_size=rows.BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    ).history
    found: dict[str, Any] = {**watch.result(), "tensorflow": tf.__version__}
    found["metrics_in_fit"] = len(history)
    ctr, ctcvr = model.predict(held_out.columns("int32"), batch_size=8192, verbose=0)
    return {**found, **rows.aucs(held_out, ctr.ravel(), ctcvr.ravel())}


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.deepctr", __doc__)
    parser.add_argument("--table-rows", type=int, default=1_000_000)
    parser.add_argument("--stretches", type=int, default=rows.STRETCHES)
    parser.add_argument("--steps-per-execution", type=int, default=rows.STEPS_PER_EXECUTION)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    found = run(given.table_rows, given.stretches, given.steps_per_execution)
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
