"""KerasTuner's oracles by name, saved whole: a kill at any moment leaves a state to go on from."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine import base_tuner
from keras_tuner.engine.trial import TrialStatus
from sklearn.exceptions import ConvergenceWarning

from idefn_tf._files import write_text
from idefn_tf.tuning import SearchSpace

#: The tuners by name.
TUNERS = ("random", "grid", "bayesian", "hyperband")


def _write(path: str, state: Any) -> None:
    """Writes a state, whole or not at all; KerasTuner writes into the file itself."""
    write_text(path, json.dumps(state))


class _Survivor(keras_tuner.Oracle):
    """What every oracle here does beside KerasTuner's own: its files are whole or not there."""

    def save(self) -> None:
        """Saves the oracle's state."""
        _write(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        _write(os.path.join(self._get_trial_dir(trial.trial_id), "trial.json"), trial.get_state())

    def reload(self) -> None:
        """Takes up the saved state; a trial that it does not know was never begun."""
        super().reload()
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]


class RandomOracle(oracles.RandomSearchOracle, _Survivor):
    """Random search."""


class GridOracle(oracles.GridSearchOracle, _Survivor):
    """Every point of a finite space.

    KerasTuner keeps in memory alone which points it has passed; here that is read off the trials,
    so that a search that is taken up again goes on where it stood.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Chooses the first point, in the space's order, that no trial has tried."""
        tried = [trial.hyperparameters.values for trial in self.trials.values()]
        space = self.get_space()
        values = {hp.name: hp.default for hp in space.space if space.is_active(hp)}
        while values is not None and any(self._compare(values, past) == 0 for past in tried):
            values = self._get_next_combination(values)
        if values is not None:
            return {"status": TrialStatus.RUNNING, "values": values}
        waiting = TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED
        return {"status": waiting, "values": None}


class BayesianOracle(oracles.BayesianOptimizationOracle, _Survivor):
    """Gaussian-process search."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Chooses the next point, without scikit-learn's remarks on a process of few points."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            chosen: dict[str, Any] = super().populate_space(trial_id)
        return chosen


class HyperbandOracle(oracles.HyperbandOracle, _Survivor):
    """Successive halving."""


class WholeTuner(base_tuner.BaseTuner):
    """A tuner whose own file is written whole."""

    def save(self) -> None:
        """Saves the oracle, where it lives in this process, and the tuner."""
        if not self._is_worker():
            self.oracle.save()
        _write(self._get_tuner_fname(), self.get_state())


def make_oracle(
    name: str, space: SearchSpace, trials: int, epochs: int, seed: int
) -> keras_tuner.Oracle:
    """Builds an oracle.

    Args:
        name: one of `TUNERS`.
        space: what is tried.
        trials: at most so many.
        epochs: of a whole training, which Hyperband hands out in shares.
        seed: of its draws.

    Raises:
        ValueError: if the name is unknown, or a grid has no end.
    """
    hp = keras_tuner.HyperParameters()
    space.declare(hp)
    searched = len(hp.space)
    if not searched:
        raise ValueError("tuning.space: every key has one value; there is nothing to search")
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective("goal", "max"),
        "hyperparameters": hp,
        "seed": seed + 1,  # KerasTuner takes 0 for "none"
        # a failed trial is reported and skipped; the search itself never gives up
        "max_consecutive_failed_trials": trials + 1,
    }
    if name == "random":
        return RandomOracle(max_trials=trials, **common)
    if name == "grid":
        space.require_finite()
        return GridOracle(max_trials=trials, **common)
    if name == "bayesian":
        first = max(2, min(3 * searched, trials // 3))
        return BayesianOracle(max_trials=trials, num_initial_points=first, **common)
    if name == "hyperband":
        # rounds go on until the trials are spent
        oracle = HyperbandOracle(max_epochs=epochs, hyperband_iterations=10_000, **common)
        oracle.max_trials = trials
        return oracle
    raise ValueError(f"--tuner: must be one of {list(TUNERS)}, received {name!r}")
