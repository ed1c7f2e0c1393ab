"""Trains one experiment through Keras fit and leaves a run's folder.

    python -m pipelines.train --config pipelines/configs/kuairand/idefn.yaml --data DIR --out RUN

DIR may be the address of a prepared folder, such as s3://bucket/folder; RUN is on this machine.
Stopped at any moment, the same command takes the run up where it was last saved: after its last
whole epoch, or inside one (training.checkpoint). SIGTERM saves first and ends with status 143.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import tensorflow as tf

from idefn_tf._files import write_json
from idefn_tf.callbacks import HistoryCSV, SelectBest, SetEpoch, StopOnNonFinite
from idefn_tf.data import Encoder, EpochClock, open_dataset
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.export.user_modules import import_modules
from idefn_tf.schema import FEEDBACK_LABELS
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.folder_owner import one_owner
from pipelines.cli.metric_table import show_metrics
from pipelines.cli.progress import Progress
from pipelines.experiment import tensorboard
from pipelines.experiment.build import build_model
from pipelines.experiment.checkpoint import capture
from pipelines.experiment.config import Config, Training
from pipelines.experiment.distribution import WORKER_LOST, WorkerLost, is_follower, open_cluster
from pipelines.experiment.evaluation import evaluate_part
from pipelines.experiment.interruption import TERMINATED, Keep, Terminated, heeding_sigterm
from pipelines.experiment.label_feedback import dropped_note
from pipelines.experiment.run_folder import Run
from pipelines.experiment.training_monitor import Watch
from pipelines.experiment.validation_rows import ValidationRows
from pipelines.experiment.warm_start import note_origin, start_from
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared


class OpenRows(Protocol):
    """Opens the training rows, or of several workers' batches one worker's share."""

    def __call__(
        self,
        data: Prepared,
        settings: Training,
        clock: EpochClock,
        shard: tuple[int, int] = (0, 1),
        encode: Encoder | None = None,
        feedback_labels: bool = False,
    ) -> tf.data.Dataset:
        """Returns batches of (features, labels, sample_weight).

        Args:
            data: the prepared folder.
            settings: batch size (of all workers) and seed.
            clock: tells the epoch.
            shard: (index, count) of the worker.
            encode: the model's features, which encode the rows; None leaves them raw.
            feedback_labels: whether the model learns from the labels of delays.
        """


def open_train(
    data: Prepared,
    settings: Training,
    clock: EpochClock,
    shard: tuple[int, int] = (0, 1),
    encode: Encoder | None = None,
    feedback_labels: bool = False,
) -> tf.data.Dataset:
    """Opens the training rows as every run samples them; `OpenRows` says what the arguments are."""
    return open_dataset(
        data.schema,
        data.files("train"),
        batch_size=settings.batch_size,
        shuffle=True,
        seed=settings.seed,
        clock=clock,
        drop_remainder=True,
        positives_per_batch=settings.positives_per_batch,
        shard=shard,
        encode=encode,
        feedback_labels=feedback_labels,
    )


@one_owner("train", unless=lambda given: is_follower(given["config"].training.strategy))
def train(
    config: Config,
    data_dir: str | Path | Prepared,
    out: str | Path,
    console: Console,
    open_rows: OpenRows = open_train,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    evaluate: bool = True,
    base: str | Path | None = None,
) -> Run:
    """Trains, selects and evaluates one experiment.

    Args:
        config: the experiment.
        data_dir: a prepared folder with train and validation (and test, to be reported), or its
            address.
        out: the run's folder; a run of the same config and data is resumed.
        console: says what is done.
        open_rows: opens the training rows; studies whose methods learn from further labels
            (`extra_labels`) bring their own.
        callbacks: further ones, such as tracking; they see every epoch's whole logs.
        evaluate: whether to score the finished run on every part and in every space; a search's
            trials do not, so that nothing but validation can reach it.
        base: an earlier run to begin with, on data prepared with ``--base``.

    Returns:
        The finished run.

    Raises:
        ValueError: if the data or the folder do not fit.
        Terminated: after SIGTERM, with the run saved.
        WorkerLost: if another worker died; starting all again takes the run up.
    """
    import_modules(config.imports)  # a trial's own process has the config, not its modules
    cluster = open_cluster(config.training.strategy)
    config = config.model_copy(update={"tuning": None})  # that is pipelines.tune's
    run, data = Run(Path(out)), Prepared.open(data_dir)
    for part in ("train", "validation"):
        if part not in data.parts:
            raise ValueError(f"data: {data.place} has no part {part!r}; it has {data.parts}")
    console.reading("prepared data", data.place)
    settings = config.training
    cluster.check_batch(settings.batch_size)
    run.begin(config, data, write=cluster.chief)
    keras.utils.set_random_seed(settings.seed)

    # -- model, and where a former process left it ----------------------------------------------
    state, snapshot = run.load_state(), run.load_snapshot()
    first_epoch = 0 if snapshot is None else snapshot.epoch
    with cluster.scope():
        learned = read_vocabularies(data.vocabularies)
        model = build_model(config, data.schema, learned, cluster.table_servers)
    if reason := _why_not_compiled(settings, cluster.replicas):
        console.note(f"steps are not compiled (jit_compile): {reason}")
    if note := dropped_note(model.feedback, data.schema):
        console.warn(note)
    if base is not None and state is None and snapshot is None:
        earlier = Run.open(base)
        start_from(model, earlier, config, data)
        console.note(f"begins with the model of {earlier.root}")
        if cluster.chief:
            note_origin(run, earlier)
    if snapshot is not None and snapshot.batch:
        console.note(f"resumes in epoch {first_epoch + 1} after batch {snapshot.batch:,}")
    elif snapshot is not None:
        console.note(f"resumes after epoch {first_epoch}")

    # -- data ----------------------------------------------------------------------------------
    clock = EpochClock(first_epoch)
    train_set = open_rows(
        data,
        settings,
        clock,
        cluster.shard,
        encode=model.features,
        feedback_labels=bool(set(model.feedback.labels) & {*FEEDBACK_LABELS}),
    )
    selection = ValidationRows.of(data)
    if selection.note:
        (console.warn if selection.careful else console.note)(selection.note)
    if selection.counts and cluster.chief:
        write_json(run.card_path, {**run.card(), "selection": selection.counts})
    validation_set = open_dataset(
        data.schema, selection.source, batch_size=settings.batch_size, encode=model.features
    )

    # -- fit -----------------------------------------------------------------------------------
    select = SelectBest(
        settings.monitor.space,
        settings.monitor.metric,
        settings.patience,
        run.best_path if cluster.chief else None,
    )
    if state is not None:
        select.restore(state["select"])
    finished = state is not None and (state["finished"] or state["epoch"] + 1 >= settings.epochs)
    if not finished:
        rows = data.card["splits"]["train"]["rows"]
        batches = int(train_set.cardinality())
        if batches < 0:
            batches = max(rows // settings.batch_size, 1)
        with heeding_sigterm() as alarm, cluster.explaining_loss():
            every = [
                SetEpoch(clock),
                StopOnNonFinite(),
                *([Watch(data, config, run, console, first_epoch)] if cluster.chief else []),
                select,
                *([HistoryCSV(run.history_path, first_epoch)] if cluster.chief else []),
                *callbacks,
                _Checkpoint(run, select, cluster.chief),
                Progress(console, rows, settings.epochs, settings.batch_size),
                Keep(run, cluster, alarm, settings.checkpoint, batches, snapshot),
            ]

            def fit(rows_left: tf.data.Dataset, begin: int, end: int) -> None:
                model.fit(
                    cluster.distribute(rows_left, sharded=True),
                    validation_data=cluster.distribute(validation_set),
                    initial_epoch=begin,
                    epochs=end,
                    verbose=0,
                    callbacks=every,
                )

            if snapshot is not None and snapshot.batch:  # what is left of an epoch
                fit(train_set.skip(snapshot.batch), first_epoch, first_epoch + 1)
                first_epoch += 1
            if first_epoch < settings.epochs and not model.stop_training:
                fit(train_set, first_epoch, settings.epochs)
        if select.warming_up:
            console.warn(
                f"{config.method} never acted: training ended within its warm-up, so the kept "
                "model trained as AllNegative does; set a smaller model.transport.warmup_steps, or "
                "train for more epochs"
            )
        if cluster.chief:
            final = run.load_state()
            where = data.address or str(data.root.resolve())  # where the report looks for rows
            write_json(run.state_path, {**(final or {}), "finished": True, "data": where})
    if not cluster.chief or not evaluate:
        return run

    # -- report --------------------------------------------------------------------------------
    best = run.load_model()
    metrics: dict[str, Any] = {
        p: evaluate_part(best, data, p) for p in ("validation", "test") if p in data.parts
    }
    write_json(run.metrics_path, metrics)
    show_metrics(metrics, console, f"{config.method}: best epoch {select.best_epoch + 1}")
    console.wrote(run.root, "(config, metrics.json, history.csv, checkpoints/best.keras)")
    return run


class _Checkpoint(keras.callbacks.Callback):
    """Saves where the run stands after every epoch, last of all callbacks that count."""

    def __init__(self, run: Run, select: SelectBest, chief: bool) -> None:
        super().__init__()
        self.run, self.select, self.chief = run, select, chief

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        taken = capture(self.model, epoch + 1, 0)  # on every worker
        if self.chief:
            finished = bool(self.model.stop_training)
            self.run.save_state(epoch, taken, {"select": self.select.state(), "finished": finished})


def _why_not_compiled(settings: Training, replicas: int) -> str | None:
    """Returns why XLA does not compile losses, transport and update, or None where it does."""
    if not settings.jit_compile:
        return "training.jit_compile is off in the config"
    if replicas > 1:
        return f"{replicas} replicas share every step, and what crosses them cannot be compiled"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser(
        "train", __doc__, "overrides a key of the config, e.g. model.kappa=0.01; repeatable"
    )
    parser.add_argument("--config", required=True, help="an experiment's YAML file")
    parser.add_argument("--data", required=True, help="a prepared folder, or its s3:// address")
    parser.add_argument("--out", required=True, help="the run's folder, new or to be resumed")
    parser.add_argument(
        "--from",
        dest="base",
        metavar="RUN",
        help="an earlier run to begin with, on data prepared with --base",
    )
    parser.add_argument("--no-report", action="store_true", help="leaves report.html out")
    tensorboard.add_arguments(parser)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        config = Config.load(given.config, given.set)
        on_disk(given.out, "--out")
        data = Prepared.open(given.data)
        callbacks = tensorboard.make_callbacks(given, data)
        try:
            run = train(config, data, given.out, console, callbacks=callbacks)
        except (Terminated, WorkerLost) as reason:
            console.error(str(reason))
            return TERMINATED if isinstance(reason, Terminated) else WORKER_LOST
        if not given.no_report:
            from pipelines.report import report  # matplotlib, for those who draw

            report(run.root, console, data=data)
        return 0

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
