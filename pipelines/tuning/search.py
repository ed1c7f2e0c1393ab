"""Search: KerasTuner's loop over trials that are runs."""

from __future__ import annotations

import contextlib
import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from idefn_tf._files import atomic_path, write_json
from idefn_tf.tuning import Goal, SearchSpace
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.interruption import Terminated
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared
from pipelines.tuning.resumable_oracles import WholeTuner
from pipelines.tuning.trials import (
    Spent,
    chosen_values,
    describe,
    drop_models,
    forget,
    train_trial_apart,
    train_trial_here,
    trial_config,
    trial_metrics,
)

#: Called with the values, results and folder of each finished trial.
Listener = Callable[[Mapping[str, Any], Mapping[str, float], Path], None]


class SearchStopped(keras_tuner.errors.FatalError):
    """SIGTERM came within a trial, which has been saved; the same command goes on with it."""


class Search(WholeTuner):
    """Runs trials, reports those that fail, and keeps what each tried and reached.

    Args:
        oracle: chooses what is tried next.
        base: the experiment's config.
        space: what is tried.
        goal: what is wanted.
        epochs: of a whole training.
        data: prepared data; trials read train and validation only.
        root: the search's folder; trials lie under ``root/trials``.
        console: says how each trial went.
        apart: whether every trial gets a process of its own.
        listener: told of every finished trial, in this process.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        base: Config,
        space: SearchSpace,
        goal: Goal,
        epochs: int,
        data: Prepared,
        root: Path,
        console: Console,
        apart: bool = True,
        listener: Listener | None = None,
    ) -> None:
        self.base, self.space, self.goal, self.epochs = base, space, goal, epochs
        self.data, self.root, self.console = data, root, console
        self.apart, self.listener = apart, listener
        self.limit = oracle.max_trials
        self._began = 0.0
        self._spent: Spent | None = None
        with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner prints what it reloads
            super().__init__(oracle, directory=str(root), project_name="trials")

    # -- KerasTuner's hooks -------------------------------------------------------------------

    def on_search_begin(self) -> None:
        """Saves the state, so that a kill within the first trial finds one."""
        self.save()

    def on_trial_begin(self, trial: Any) -> None:
        """Says which trial begins."""
        self._began = time.monotonic()
        values = describe(chosen_values(self.space, trial.hyperparameters))
        going = " (goes on)" if self._run(trial.trial_id).begun else ""
        self.console.step(f"trial {int(trial.trial_id) + 1} of {self.limit}{going}: {values}")

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Trains one point and returns the goal and its terms.

        Raises:
            ValueError: if the point is no config, or its goal is not a number.
            SearchStopped: after SIGTERM.
        """
        hp = trial.hyperparameters
        chosen = chosen_values(self.space, hp)
        epochs = int(hp.values.get("tuner/epochs", self.epochs))
        config = trial_config(self.base, chosen, epochs, self.goal)
        run = self._run(trial.trial_id)
        past = hp.values.get("tuner/trial_id")
        earlier = None if past is None else self._run(past)
        try:
            if self.apart:
                self._spent = train_trial_apart(config, self.data, run, earlier)
            else:
                forget()
                self._spent = train_trial_here(config, self.data, run, earlier)
        except Terminated as reason:  # the search stops, the trial has not failed
            raise SearchStopped(str(reason)) from None
        results = trial_metrics(run, self.goal)
        write_json(run.root / "trial.json", {"values": chosen, **results, **self._spent._asdict()})
        return results

    def on_trial_end(self, trial: Any) -> None:
        """Records the trial; a failed one is reported and the search goes on."""
        super().on_trial_end(trial)
        trial = self.oracle.get_trial(trial.trial_id)
        used = f"{time.monotonic() - self._began:.0f} s"
        if self._spent is not None and self._spent.peak_mib is not None:
            used += f", {self._spent.peak_mib:,.0f} MiB"
        name = f"trial {int(trial.trial_id) + 1} of {self.limit}"
        if trial.status != "COMPLETED":
            self.console.warn(f"{name} failed and is skipped: {_reason(trial.message)}")
            return
        best = self.oracle.get_best_trials(1)[0].score
        self.console.step(f"{name}: {self.goal} {trial.score:.4f} (best so far {best:.4f}), {used}")
        run = self._run(trial.trial_id)
        if self.listener is not None:
            chosen = chosen_values(self.space, trial.hyperparameters)
            self.listener(chosen, trial_metrics(run, self.goal), run.root)
        if "tuner/epochs" not in trial.hyperparameters.values:  # Hyperband may go on from it
            drop_models(run)

    # -- what came out ------------------------------------------------------------------------

    def results(self) -> list[dict[str, Any]]:
        """Returns every trial: its number, status, values, goal and reason of failure."""
        rows = []
        for trial_id, trial in sorted(self.oracle.trials.items(), key=lambda t: int(t[0])):
            rows.append(
                {
                    "trial": int(trial_id) + 1,
                    "status": trial.status.lower(),
                    "goal": trial.score,
                    "epochs": trial.hyperparameters.values.get("tuner/epochs", self.epochs),
                    "values": chosen_values(self.space, trial.hyperparameters),
                    "reason": _reason(trial.message) if trial.message else None,
                }
            )
        return rows

    def winner(self) -> dict[str, Any]:
        """Returns the best trial's values by key.

        Raises:
            ValueError: if no trial was completed.
        """
        done = [row for row in self.results() if row["status"] == "completed"]
        if not done:
            reasons = {row["reason"] for row in self.results() if row["reason"]}
            raise ValueError(
                f"no trial was completed; {'; '.join(sorted(reasons)) or 'none was begun'}"
            )
        values: dict[str, Any] = max(done, key=lambda row: row["goal"])["values"]
        return values

    def write_results(self) -> None:
        """Writes trials.csv and trials.json into the search's folder."""
        rows = self.results()
        write_json(self.root / "trials.json", rows)
        names = list(dict.fromkeys(name for row in rows for name in row["values"]))
        with (
            atomic_path(self.root / "trials.csv") as sibling,
            sibling.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["trial", "status", "goal", "epochs", *names, "reason"])
            for row in rows:
                cells = [row[n] for n in ("trial", "status", "goal", "epochs")]
                writer.writerow([*cells, *(row["values"].get(n) for n in names), row["reason"]])
        for path in (self.root / "trials").glob("trial_*/run"):
            drop_models(Run(path))

    def _run(self, trial_id: str) -> Run:
        return Run(Path(self.get_trial_dir(trial_id)) / "run")


def _reason(message: str | None) -> str:
    """The last line of a traceback."""
    lines = [line for line in (message or "").strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "its goal was not a number"
