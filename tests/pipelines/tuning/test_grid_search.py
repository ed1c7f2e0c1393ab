"""A grid that is taken up again goes on where it stood; so does every other search."""

import itertools

import pytest

from idefn_tf.tuning import SearchSpace
from pipelines.tuning.resumable_oracles import TUNERS, make_oracle

SPACE = SearchSpace.model_validate(
    {
        "method": {"values": ["esmm", "idefn"]},
        "model.kappa": {"values": [0.1, 0.2], "when": {"method": ["idefn"]}},
        "optimizer.learning_rate": {"values": [0.001, 0.01, 0.1]},
    }
)
#: By hand: three rates for esmm, twice three for idefn.
POINTS = 9


def start(folder, tuner, trials):
    oracle = make_oracle(tuner, SPACE, trials, epochs=4, seed=3)
    oracle.verbose = 0
    oracle._set_project_dir(str(folder), "search")
    if (folder / "search" / "oracle.json").is_file():
        oracle.reload()
    return oracle


def run(oracle, most=100):
    """Runs trials until the oracle stops; returns their points."""
    points = []
    for _ in range(most):
        trial = oracle.create_trial("tuner0")
        if trial.status != "RUNNING":
            break
        points.append(tuple(sorted(SPACE.settings(trial.hyperparameters, {}).items(), key=repr)))
        oracle.update_trial(trial.trial_id, {"goal": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    oracle.save()
    return [repr(point) for point in points]


def test_a_grid_has_every_point_once(tmp_path):
    points = run(start(tmp_path, "grid", 100))
    assert len(points) == len(set(points)) == POINTS


@pytest.mark.parametrize("stops", [(1, 8), (3, 6), (4, 1, 4), tuple(itertools.repeat(1, 9))])
def test_a_grid_that_is_taken_up_again_has_every_point_once(tmp_path, stops):
    whole = run(start(tmp_path / "whole", "grid", 100))
    points = []
    for more in stops:
        points += run(start(tmp_path / "parts", "grid", 100), more)
    points += run(start(tmp_path / "parts", "grid", 100))
    assert points == whole


def test_more_trials_go_on_with_the_grid(tmp_path):
    points = run(start(tmp_path, "grid", 3))
    assert len(points) == 3
    assert run(start(tmp_path, "grid", 3)) == []
    points += run(start(tmp_path, "grid", 6))
    assert len(points) == len(set(points)) == 6


def test_two_workers_share_a_grid(tmp_path):
    oracle = start(tmp_path, "grid", 100)
    both = [oracle.create_trial(f"tuner{i}") for i in range(2)]
    points = [repr(SPACE.settings(trial.hyperparameters, {})) for trial in both]
    assert points[0] != points[1]
    for trial in both:
        oracle.update_trial(trial.trial_id, {"goal": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert len(run(oracle)) == POINTS - 2


@pytest.mark.parametrize("tuner", TUNERS)
def test_a_search_goes_on_after_a_stop(tmp_path, tuner):
    first = run(start(tmp_path, tuner, 4), 2)
    assert len(first) == 2
    oracle = start(tmp_path, tuner, 4)
    assert len(oracle.trials) == 2
    assert len(run(oracle)) == 2
