"""Does the row-sparse Adam lose anything against dense Adam on real exposures?

``python -m benchmarks.training.optimizer_parity --data data/kuairand --seeds 5``

Trains the same ESMM from the same start on the same batches with RowSparseAdam (its default, rows
apply the decay of skipped steps), with Keras' dense Adam, and with the usual lazy Adam, whose
rows rest, and compares AUCs on the test days, paired by seed. No early stopping, no L2: nothing but
the optimizer differs. Seeds already in the result file are not trained again, unless the code that
they were trained with has changed since.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.common.machine import code_fingerprint, machine_facts
from idefn_tf._files import write_json
from idefn_tf.data import EpochClock
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.optimizers import RowSparseAdam
from pipelines.experiment.build import build_model
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import evaluate_part
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import open_train
from serving.common.command_line import command_parser

RESULT = Path(__file__).resolve().parents[1] / "results" / "training" / "optimizer_parity.json"
RATE, EPSILON = 1e-3, 1e-8
OPTIMIZERS = {
    "row_sparse": lambda: RowSparseAdam(RATE, epsilon=EPSILON),
    "dense": lambda: keras.optimizers.Adam(RATE, epsilon=EPSILON),
    "lazy": lambda: RowSparseAdam(RATE, epsilon=EPSILON, lazy=True),
}
METRICS = ("ctr_auc", "cvr_auc", "ctcvr_auc")
#: What the results depend on.
CODE = ("idefn_tf/optimizers", "idefn_tf/features")
#: What the project promises.
LIMIT = 0.003


def train(data: Prepared, optimizer: str, seed: int, epochs: int) -> dict[str, float]:
    """Trains once and returns the AUCs on the test days, over every exposure.

    Args:
        data: the prepared rows.
        optimizer: a name of `OPTIMIZERS`.
        seed: of weights and order.
        epochs: how many.
    """
    keras.utils.set_random_seed(seed)
    config = Config.parse(
        {
            "method": "esmm",
            "backbone": {"name": "mlp", "units": [128, 64]},
            "training": {"seed": seed, "epochs": epochs},
        }
    )
    model = build_model(config, data.schema, read_vocabularies(data.vocabularies))
    model.compile(OPTIMIZERS[optimizer]())
    rows = open_train(data, config.training, EpochClock(), encode=model.features)
    model.fit(rows, epochs=epochs, verbose=0)
    found = evaluate_part(model, data, "test")["all_funnel"]
    return {metric: float(found[metric]) for metric in METRICS}


def compared(runs: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Returns the paired differences to dense Adam: their mean, deviation and greatest size."""
    told: dict[str, Any] = {}
    for name in ("row_sparse", "lazy"):
        told[f"{name} - dense"] = {}
        for metric in METRICS:
            pairs = [(r[name][metric], r["dense"][metric]) for r in runs.values() if len(r) == 3]
            gaps = [round(one - other, 5) for one, other in pairs]
            told[f"{name} - dense"][metric] = {
                "by_seed": gaps,
                "mean": round(float(np.mean(gaps)), 5),
                "greatest": round(float(np.max(np.abs(gaps))), 5),
            }
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.training.optimizer_parity", __doc__)
    parser.add_argument("--data", required=True, help="a prepared folder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args(arguments)
    data = Prepared.open(given.data)
    old = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    code = code_fingerprint(*CODE)
    runs: dict[str, Any] = old.get("runs", {}) if old.get("code") == code else {}
    for seed in range(given.seeds):
        row = runs.setdefault(str(seed), {})
        for name in OPTIMIZERS:
            if name in row:
                continue
            row[name] = train(data, name, seed, given.epochs)
            print(f"seed {seed} {name}: {row[name]}", flush=True)
            result = {
                "command": "python -m benchmarks.training.optimizer_parity "
                f"--data {data.card['dataset']} "
                f"--seeds {given.seeds} --epochs {given.epochs}",
                "dataset": data.card["dataset"],
                "train_rows": data.card["splits"]["train"]["rows"],
                "test_rows": data.card["splits"]["test"]["rows"],
                "code": code,
                "runs": runs,
                "machine": machine_facts(),
            }
            if any(len(r) == len(OPTIMIZERS) for r in runs.values()):
                result["differences"] = compared(runs)
            write_json(RESULT, result)
    told = compared(runs)
    print(json.dumps(told, indent=1))
    worst = max(v["greatest"] for v in told["row_sparse - dense"].values())
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
