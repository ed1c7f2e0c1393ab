"""The study's AUCs by seed: kept over sessions, and pooled as if all were at hand."""

import math

import numpy as np
import pytest

from benchmarks.history.kuairand_cells import keep, spread

VALUES = [0.81, 0.84, 0.82, 0.85, 0.80, 0.83]


def test_seeds_known_by_mean_and_deviation_count_as_if_they_were_at_hand():
    first, rest = np.array(VALUES[:4]), VALUES[4:]
    cells = {"0-3": {"auc": first.mean(), "auc deviation": first.std(ddof=1)}}
    cells |= {str(seed): {"auc": value} for seed, value in enumerate(rest, 4)}
    count, mean, deviation = spread(cells, "auc")
    assert count == 6
    assert mean == pytest.approx(np.mean(VALUES))
    assert deviation == pytest.approx(np.std(VALUES, ddof=1))


def test_one_seed_has_no_deviation():
    count, mean, deviation = spread({"7": {"auc": 0.8}}, "auc")
    assert (count, mean) == (1, 0.8)
    assert math.isnan(deviation)


def test_a_second_session_adds_its_seeds_and_replaces_its_own(tmp_path):
    path = tmp_path / "cells.json"
    keep(path, {"none-esmm": {2: {"auc": 0.1}, 10: {"auc": 0.3}}})
    found = keep(path, {"none-esmm": {2: {"auc": 0.2}}, "both-esmm": {4: {"auc": 0.4}}})
    assert found == {
        "none-esmm": {"2": {"auc": 0.2}, "10": {"auc": 0.3}},
        "both-esmm": {"4": {"auc": 0.4}},
    }
    assert list(keep(path, {})["none-esmm"]) == ["2", "10"]
