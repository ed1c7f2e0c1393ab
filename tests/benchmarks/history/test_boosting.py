"""Boosting beside the study: both libraries meet the same trials, and validation alone chooses."""

import numpy as np
import pytest

from benchmarks.history import boosting

LIMITS = {
    "learning_rate": (0.02, 0.2),
    "trees": (50, 500),
    "leaves": (4, 63),
    "rows_in_leaf": (20, 500),
    "l2": (0.1, 30.0),
    "share_of_columns": (0.3, 1.0),
}


def test_trials_are_within_their_limits_and_the_first_stay_when_more_are_drawn():
    trials = boosting.draw(50)
    for name, (low, high) in LIMITS.items():
        values = [trial[name] for trial in trials]
        assert low <= min(values) < max(values) <= high
    assert boosting.draw(7) == trials[:7]


def test_a_classifier_takes_every_setting():
    settings = boosting.draw(1)[0]
    model = boosting.classifier("scikit-learn", settings, 5)
    given = model.get_params()
    assert (given["max_iter"], given["max_leaf_nodes"]) == (settings["trees"], settings["leaves"])
    assert given["max_features"] == settings["share_of_columns"]
    assert (given["min_samples_leaf"], given["random_state"]) == (settings["rows_in_leaf"], 5)


FOUND = {
    "aggregates": {
        "scikit-learn": [
            {"validation all_funnel": 0.7, "trees": 1},
            {"validation all_funnel": 0.8, "trees": 2},
            {"validation all_funnel": 0.8, "trees": 3},
        ],
        "lightgbm": [{"validation all_funnel": 0.79, "trees": 9}],
    }
}


def test_the_first_of_the_best_trials_and_the_better_library_are_taken():
    assert boosting.best(FOUND, "aggregates", "scikit-learn")["trees"] == 2
    assert boosting.better(FOUND, "aggregates") == "scikit-learn"


@pytest.fixture(scope="module")
def rows():
    """Rows whose label follows the first column."""
    chance = np.random.default_rng(0)
    columns = {part: chance.normal(size=(3000, 3)).astype(np.float32) for part in boosting.PARTS}
    return columns, {part: (values[:, 0] > 0.5).astype(int) for part, values in columns.items()}


def test_a_search_yields_the_missing_trials_alone(rows):
    (second,) = boosting.trials("scikit-learn", *rows, done=1, until=2)
    assert second.pop("validation all_funnel") > 0.9
    assert second == boosting.draw(2)[1]


def test_scores_are_probabilities_of_the_positive_class(rows):
    columns, label = rows
    found = boosting.scores("scikit-learn", boosting.draw(1)[0], 3, columns, label)
    assert sorted(found) == ["test", "validation"]
    for part, score in found.items():
        assert score[label[part] == 1].min() > score[label[part] == 0].mean()
