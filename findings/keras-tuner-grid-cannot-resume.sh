#!/usr/bin/env bash
# KerasTuner's grid search that is taken up again runs nothing, though it saved its state.
#
# Guess:  overwrite=False goes on with the points that are left, as random search does.
# Found:  keras-tuner 1.4.8, Keras 3.15.1: a grid of 6 points is stopped after 3 trials and opened
#         again with max_trials=6:
#           grid    ends at once with 3 of 6, no message: which points were passed is kept in memory
#           random  runs the 3 trials that are left
# Cure:   let the grid run in one process, or enumerate it yourself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    tensorflow-cpu==2.17.1 keras==3.15.1 keras-tuner==1.4.8 numpy==1.26.4
cd "$work"
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$work/v/bin/python" -W ignore - <<'PY'
import keras_tuner

ran = []


def opened(base, trials):
    class Counting(base):
        def run_trial(self, trial, *args, **kwargs):
            ran.append(trial.hyperparameters.values)
            return 0.5

    hp = keras_tuner.HyperParameters()
    hp.Choice("a", [1, 2, 3])
    hp.Choice("b", ["x", "y"])
    return Counting(
        lambda hp: None, hyperparameters=hp, objective=keras_tuner.Objective("goal", "max"),
        max_trials=trials, directory="searches", project_name=base.__name__, overwrite=False,
    )


def resumed(base):
    ran.clear()
    opened(base, 3).search(verbose=0)
    first = len(ran)
    try:
        opened(base, 6).search(verbose=0)
    except KeyError as error:
        return first, f"KeyError {error}"
    return first, len(ran) - first


random = resumed(keras_tuner.RandomSearch)
grid = resumed(keras_tuner.GridSearch)
print("random", random, "grid", grid)
assert random == (3, 3), "random search goes on"
assert grid == (3, 0), "the grid goes on now"
PY
