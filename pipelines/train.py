"""Trains one experiment through Keras fit and leaves a run's folder.

    python -m pipelines.train --config pipelines/configs/kuairand_idefn.yaml --data DIR --out RUN

Stopped at any moment, the same command takes the run up after its last whole epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.callbacks import HistoryCSV, SelectBest, SetEpoch, StopOnNonFinite
from idefn_tf.data import EpochClock, open_dataset
from pipelines import console as consoles
from pipelines import tracking
from pipelines.build import build_model
from pipelines.config import Config, Training
from pipelines.console import Console
from pipelines.evaluation import evaluate_part
from pipelines.prepared import Prepared, write_json
from pipelines.progress import Progress
from pipelines.runs import Run, load, read_vocabularies
from pipelines.watch import Watch


def open_train(data: Prepared, settings: Training, clock: EpochClock) -> tf.data.Dataset:
    """Opens the training rows as every run deals them."""
    return open_dataset(
        data.schema,
        data.files("train"),
        batch_size=settings.batch_size,
        shuffle=True,
        seed=settings.seed,
        clock=clock,
        drop_remainder=True,
    )


def train(
    config: Config,
    data_dir: str | Path,
    out: str | Path,
    console: Console,
    open_rows: Callable[[Prepared, Training, EpochClock], tf.data.Dataset] = open_train,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    evaluate: bool = True,
) -> Run:
    """Trains, selects and evaluates one experiment.

    Args:
        config: the experiment.
        data_dir: a prepared folder with train and validation (and test, to be reported).
        out: the run's folder; a run of the same config and data is resumed.
        console: says what is done.
        open_rows: opens the training rows; studies whose methods learn from further labels
            (`extra_labels`) bring their own.
        callbacks: further ones, such as tracking; they see every epoch's whole logs.
        evaluate: whether to score the finished run on every part and in every space; a search's
            trials do not, so that nothing but validation can reach it.

    Returns:
        The finished run.

    Raises:
        ValueError: if the data or the folder do not fit.
    """
    config = config.model_copy(update={"tuning": None})  # that is pipelines.tune's
    data, run = Prepared.open(data_dir), Run(Path(out))
    for part in ("train", "validation"):
        if part not in data.parts:
            raise ValueError(f"data: {data.root} has no part {part!r}; it has {data.parts}")
    console.reading("prepared data", data.root)
    run.begin(config, data)
    keras.utils.set_random_seed(config.training.seed)

    # -- model: new, or as the last whole epoch left it -----------------------------------------
    state = run.load_state()
    if state is None:
        model = build_model(config, data.schema, read_vocabularies(data.vocabularies))
    else:
        model = load(run.checkpoints / state["model"])
        console.note(f"resumes after epoch {state['epoch']}")
    first_epoch = 0 if state is None else state["epoch"] + 1

    # -- data ----------------------------------------------------------------------------------
    settings = config.training
    clock = EpochClock(first_epoch)
    train_set = open_rows(data, settings, clock)
    validation_set = open_dataset(data.schema, data.files("validation"), batch_size=8192)

    # -- fit -----------------------------------------------------------------------------------
    select = SelectBest(
        settings.monitor.space, settings.monitor.metric, settings.patience, run.best_path
    )
    if state is not None:
        select.restore(state["select"])
    finished = state is not None and (state["finished"] or first_epoch >= settings.epochs)
    if not finished:
        model.fit(
            train_set,
            validation_data=validation_set,
            epochs=settings.epochs,
            initial_epoch=first_epoch,
            verbose=0,
            callbacks=[
                SetEpoch(clock),
                StopOnNonFinite(),
                Watch(data, config, run, console),
                select,
                HistoryCSV(run.history_path, first_epoch),
                *callbacks,
                _Checkpoint(run, select),
                Progress(
                    console,
                    data.card["splits"]["train"]["rows"],
                    settings.epochs,
                    settings.batch_size,
                ),
            ],
        )
        final = run.load_state()
        where = str(data.root.resolve())  # where the report looks for the rows
        write_json(run.state_path, {**(final or {}), "finished": True, "data": where})

    # -- report --------------------------------------------------------------------------------
    if not evaluate:
        return run
    best = run.load_model()
    metrics: dict[str, Any] = {
        p: evaluate_part(best, data, p) for p in ("validation", "test") if p in data.parts
    }
    write_json(run.metrics_path, metrics)
    show_metrics(metrics, console, f"{config.method}: best epoch {select.best_epoch}")
    console.wrote(run.root, "(config, metrics.json, history.csv, checkpoints/best.keras)")
    return run


class _Checkpoint(keras.callbacks.Callback):
    """Saves model, optimizer and selection after every epoch, last of all callbacks that count."""

    def __init__(self, run: Run, select: SelectBest) -> None:
        super().__init__()
        self.run, self.select = run, select

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        finished = bool(self.model.stop_training)
        self.run.save_state(
            epoch, self.model, {"select": self.select.state(), "finished": finished}
        )


def show_metrics(metrics: dict[str, Any], console: Console, title: str) -> None:
    """Prints the spaces' metrics as a table."""
    names = (
        "rows",
        "positives",
        "cvr_auc",
        "cvr_ks",
        "cvr_logloss",
        "cvr_pcoc",
        "ctr_auc",
        "ctcvr_auc",
    )
    rows = []
    for part, spaces in metrics.items():
        for space, values in spaces.items():
            cells = [values.get(name) for name in names]
            rows.append([f"{part} {space}", *(_cell(cell) for cell in cells)])
    console.table(title, ("part and space", *names), rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, help="an experiment's YAML file")
    parser.add_argument("--data", required=True, help="a prepared folder")
    parser.add_argument("--out", required=True, help="the run's folder, new or to be resumed")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="overrides a key of the config, e.g. model.kappa=0.01; repeatable",
    )
    parser.add_argument("--no-report", action="store_true", help="leaves report.html out")
    tracking.add_arguments(parser)
    consoles.add_arguments(parser)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> None:
        config = Config.load(given.config, given.set)
        callbacks = tracking.make_callbacks(given)
        run = train(config, given.data, given.out, console, callbacks=callbacks)
        if not given.no_report:
            from pipelines.report import report  # matplotlib, for those who draw

            report(run.root, console, data=given.data)

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
