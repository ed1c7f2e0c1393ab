"""A trial is a run: trained by the same code, taken up after a kill, measured on validation."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras

from idefn_tf._files import atomic_folder, write_json
from idefn_tf.callbacks import read_history
from idefn_tf.tuning import Goal, SearchSpace
from idefn_tf.tuning.space import put
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.interruption import Terminated
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train
from pipelines.tuning.subprocess_call import Stopped, peak_mib, run_apart


class Spent(NamedTuple):
    """Where a trial was trained: the process, and its peak of resident memory in MiB."""

    process: int
    peak_mib: float | None


def trial_config(base: Config, chosen: Mapping[str, Any], epochs: int, goal: Goal) -> Config:
    """Returns the config of a trial.

    Its audit is off, since that reads what only reports may see; early stopping watches the goal
    where that is one metric.

    Raises:
        ValueError: if the values do not make a config.
    """
    value = put(base.model_dump(mode="json", exclude={"tuning"}), chosen)
    value["training"] |= {"epochs": epochs, "audit": False}
    if goal.monitor is not None:
        value["training"]["monitor"] = dict(zip(("space", "metric"), goal.monitor, strict=True))
    return Config.parse(value)


def winning_config(base: Config, chosen: Mapping[str, Any]) -> Config:
    """Returns the config that `pipelines.train` takes: the base with the winner's values."""
    return Config.parse(put(base.model_dump(mode="json", exclude={"tuning"}), chosen))


def train_trial(
    config: Config, data: Prepared, run: Run, past: Run | None, console: Console
) -> Run:
    """Trains a trial, or goes on with it.

    Args:
        config: the trial's.
        data: prepared data; only train and validation are read.
        run: its folder. A run of another config in it is a remnant and is replaced.
        past: a finished run that it goes on from (Hyperband's promotion), model, optimizer and
            early stopping included.
        console: says what is done.
    """
    with _alone(run.root.parent):
        if run.begun and run.config() != config:
            shutil.rmtree(run.root)
        if past is not None and not run.begun:
            _promote(past, run, config)
        return train(config, data, run.root, console, evaluate=False)


def train_trial_here(config: Config, data: Prepared, run: Run, past: Run | None) -> Spent:
    """Trains a trial in this process, quietly.

    Returns:
        This process, and the most memory that it has held so far.
    """
    train_trial(config, data, run, past, Console(quiet=True))
    return Spent(os.getpid(), peak_mib())


def train_trial_apart(config: Config, data: Prepared, run: Run, past: Run | None) -> Spent:
    """Trains a trial in a process of its own, whose memory and crashes are its own too.

    What TensorFlow says meanwhile stands in log.txt beside the run.

    Returns:
        That process, and its peak memory.

    Raises:
        Failed: if the training raised.
        Terminated: after SIGTERM to this process or that one, with the trial saved.
        RuntimeError: if the process was ended from outside, as by the system's memory guard.
    """
    try:
        spent: Spent = run_apart(_train_logged, config, data, run, past)
    except Stopped as reason:
        raise Terminated(str(reason)) from None
    except RuntimeError as reason:
        raise RuntimeError(f"{reason}; see {_log(run)}") from None
    return spent


def _train_logged(config: Config, data: Prepared, run: Run, past: Run | None) -> Spent:
    path = _log(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    try:
        return train_trial_here(config, data, run, past)
    except Terminated as reason:
        raise Stopped(str(reason)) from None


def _log(run: Run) -> Path:
    return run.root.parent / "log.txt"


def _promote(past: Run, run: Run, config: Config) -> None:
    """Copies a finished run as the beginning of a longer one."""
    with atomic_folder(run.root) as building:
        shutil.copytree(past.root, building, dirs_exist_ok=True)
        copy = Run(building)
        config.save(copy.config_path)
        state = copy.load_state() or {}
        stopped = state["select"]["wait"] >= max(config.training.patience, 1)
        write_json(copy.state_path, {**state, "finished": stopped})


def trial_metrics(run: Run, goal: Goal) -> dict[str, float]:
    """Returns the goal and its terms at the epoch whose model the run kept.

    Returns:
        {"goal": value, "epoch": kept epoch from 1, "<metric>": value}.

    Raises:
        ValueError: if the goal is not a number there.
    """
    rows = read_history(run.history_path)
    state = run.load_state() or {}
    best = int(state["select"]["best_epoch"])
    row = next(row for row in rows if int(row["epoch"]) == best + 1)
    score = goal.score(row)
    if not math.isfinite(score):
        raise ValueError(
            f"objective: {goal} is not a number in epoch {best + 1}; validation holds one class "
            "only, or the model predicts nothing"
        )
    terms = {name: float(row[f"val_{name}"]) for name in goal.terms}
    return {"goal": score, "epoch": best + 1.0, **terms}


def forget() -> None:
    """Drops what the last trial left in the process: graphs, names, models."""
    import gc

    keras.backend.clear_session()
    gc.collect()


def drop_models(run: Run) -> None:
    """Removes a finished trial's models; its config and history stay."""
    for path in run.checkpoints.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path != run.state_path:
            path.unlink()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other worker trains in this folder (after a chief's restart)."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def describe(chosen: Mapping[str, Any]) -> str:
    """Writes chosen values in one line."""
    return ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={json.dumps(value)}"
        for key, value in chosen.items()
    )


def chosen_values(space: SearchSpace, hp: Any) -> dict[str, Any]:
    """Returns what a trial tried, by key."""
    return space.declare(hp.copy())
