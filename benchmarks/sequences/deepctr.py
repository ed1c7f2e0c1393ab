"""The sequence benchmark's task in DeepCTR, in its environment; see `benchmarks.sequences`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf
from deepctr.feature_column import SparseFeat, VarLenSparseFeat
from deepctr.models import DIN

from benchmarks.sequences import rows
from benchmarks.training.rows import STEPS_PER_EXECUTION, auc
from serving.common.command_line import command_parser


def inputs(made: rows.Made) -> dict[str, Any]:
    """Returns the rows as the library takes them: 0 pads."""
    histories = {f"hist_{name}": values for name, values in made.histories.items()}
    return {**made.columns, **histories, "length": made.lengths}


def run(length: int, stretches: int, steps: int) -> dict[str, Any]:
    """Trains DIN of clicks through ``fit`` and measures; the library's own L2 is off."""
    tf.keras.utils.set_random_seed(0)
    train, held_out = rows.task(length, stretches)
    ids = [
        SparseFeat(name, size + 1, embedding_dim=rows.WIDTH) for name, size in rows.SIZES.items()
    ]
    histories = [
        VarLenSparseFeat(
            SparseFeat(
                f"hist_{name}",
                rows.SIZES[name] + 1,
                embedding_dim=rows.WIDTH,
                embedding_name=name,
            ),
            maxlen=length,
            length_name="length",
        )
        for name in rows.ITEMS
    ]
    model = DIN(
        [*ids, *histories],
        list(rows.ITEMS),
        dnn_hidden_units=rows.TOWERS,
        att_hidden_size=rows.UNITS,
        att_activation="sigmoid",
        l2_reg_embedding=0.0,
    )
    model.compile(
        tf.keras.optimizers.Adam(rows.RATE),
        loss="binary_crossentropy",
        metrics=["AUC"],
        steps_per_execution=steps,
    )
    watch = rows.Clock()
    callback = tf.keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: watch.batch(steps)
    )
    history = model.fit(
        inputs(train),
        train.click,
        batch_size=rows.BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    ).history
    found: dict[str, Any] = {**watch.result(), "tensorflow": tf.__version__}
    found["metrics_in_fit"] = len(history)
    ctr = model.predict(inputs(held_out), batch_size=8192, verbose=0)
    return {**found, "ctr_auc": round(auc(held_out.click, ctr.ravel()), 4)}


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.sequences.deepctr", __doc__)
    parser.add_argument("--length", type=int, default=rows.LENGTH)
    parser.add_argument("--stretches", type=int, default=rows.STRETCHES)
    parser.add_argument("--steps-per-execution", type=int, default=STEPS_PER_EXECUTION)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    found = run(given.length, given.stretches, given.steps_per_execution)
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
