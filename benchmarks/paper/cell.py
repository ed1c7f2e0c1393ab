"""One cell of the grid, in its own process: train, evaluate, keep the test scores.

    python -m benchmarks.paper.cell --config FILE --data PREPARED --out RUN

The run's folder is one of pipelines.train; beside its files lie ``test_scores.npz`` (the scores of
every test row, for tests that draw users) and ``cell.json``, written last: the mark of a finished
cell.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.machine import code_fingerprint
from benchmarks.paper.oracle_rows import open_with_truth
from idefn_tf._files import atomic_path, write_json
from idefn_tf.models import get_method
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import open_train, train
from serving.common.command_line import command_parser

CELL, SCORES = "cell.json", "test_scores.npz"


def run_cell(config: Config, data: Path, out: Path, console: Console) -> dict[str, Any]:
    """Trains one experiment and leaves its numbers in `out`.

    Returns:
        What cell.json holds: best epoch, epochs, seconds, the fingerprints of code and data, and
        the metrics of every part.
    """
    started = time.monotonic()
    told = bool(get_method(config.method).extra_labels)  # type: ignore[attr-defined]
    open_rows = open_with_truth if told else open_train
    run = train(config, data, out, console, open_rows)
    seconds = time.monotonic() - started
    prepared = Prepared.open(data)
    if "test" in prepared.parts:
        scores = predict(run.load_model(), prepared.schema, prepared.table("test"))
        _save_scores(out / SCORES, scores)
    state = run.load_state() or {}
    found = {
        "best_epoch": state.get("select", {}).get("best_epoch"),
        "epochs": state.get("epoch", -1) + 1,
        "seconds": round(seconds, 1),
        "code": code_fingerprint("idefn_tf"),
        "fingerprint": prepared.card.get("fingerprint"),
        "metrics": json.loads(run.metrics_path.read_text(encoding="utf-8")),
    }
    write_json(out / CELL, found)
    return found


def finished(out: Path, config: Config, data: Path) -> bool:
    """Whether `out` holds the finished cell of this very config and these data.

    Raises:
        ValueError: if it holds another run.
    """
    if not (out / CELL).is_file():
        return False
    if Run.open(out).config() != config:
        raise ValueError(
            f"--out: {out} holds a cell of another config; give a new folder, or delete this cell"
        )
    found = json.loads((out / CELL).read_text(encoding="utf-8"))
    if found.get("fingerprint") != Prepared.open(data).card.get("fingerprint"):
        raise ValueError(
            f"--out: {out} holds a cell on other data; give a new folder, or delete this cell"
        )
    return True


def _save_scores(path: Path, scores: Mapping[str, np.ndarray]) -> None:
    with atomic_path(path) as sibling:
        np.savez_compressed(
            sibling, **{k: np.asarray(v, np.float32).reshape(-1) for k, v in scores.items()}
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.paper.cell", __doc__)
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    run_cell(Config.load(given.config), given.data, given.out, Console())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
