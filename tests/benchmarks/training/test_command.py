"""The training benchmark: rows alike for all, a gate that closes, a page that tells what it has."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.training import command as training
from benchmarks.training import rows as training_rows
from benchmarks.training.optimizer_parity import compared
from benchmarks.training.report import page

ROOT = Path(__file__).resolve().parents[3]


def test_rows_are_the_same_at_every_call_and_hold_something_to_learn():
    one, two = (training_rows.make(5000, 2000) for _ in range(2))
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.conversion, two.conversion)
    assert one.ids.min() == 0
    assert one.ids.max() < 2000 // training_rows.FIELDS
    assert not (one.conversion > one.click).any()
    assert 0.1 < one.click.mean() < 0.5
    counts = np.bincount(one.ids[:, 0])
    assert counts[0] > 10 * np.median(counts)  # Zipf: the first id is everywhere


def test_aucs_are_those_of_scikit_learn():
    made = training_rows.make(3000, 2000)
    scores = np.random.default_rng(0).random((2, 3000)) + 0.2 * made.click
    found = training_rows.aucs(made, *scores)
    assert found["ctr_auc"] == round(roc_auc_score(made.click, scores[0]), 4)
    assert found["ctcvr_auc"] == round(roc_auc_score(made.conversion, scores[1]), 4)


def test_the_first_stretch_is_set_apart_and_the_median_told():
    watch = training_rows.Watch(stretch=2)
    watch.marks = [0.0, 10.0, 11.0, 13.0, 16.0]  # seconds; the first stretch compiles
    found = watch.result()
    batch = training_rows.BATCH
    assert found["samples_per_second_of_stretches"] == [2 * batch, batch, round(2 * batch / 3)]
    assert found["samples_per_second"] == batch
    assert found["step_ms"] == 1000.0
    assert found["first_stretch_seconds"] == 10.0


def runs(**aucs):
    return {name: {"ctr_auc": 0.75, "ctcvr_auc": auc} for name, auc in aucs.items()}


def test_the_gate_lets_equals_through_and_names_who_fell_behind():
    training.gate(runs(idefn_tf=0.79, deepctr=0.79, torch_rechub=0.77))
    training.gate(runs(idefn_tf=0.79, deepctr=0.79, torch_rechub_own_loader=0.6))  # a short run
    with pytest.raises(ValueError, match=r"ctcvr_auc must be above .6 and .*'deepctr': 0.5"):
        training.gate(runs(idefn_tf=0.79, deepctr=0.5, torch_rechub=0.79))
    with pytest.raises(ValueError, match="must be above"):
        training.gate(runs(idefn_tf=0.5, deepctr=0.5, torch_rechub=0.5))


def test_differences_are_paired_by_seed():
    def aucs(value):
        return dict.fromkeys(("ctr_auc", "cvr_auc", "ctcvr_auc"), value)

    told = compared(
        {
            "0": {"row_sparse": aucs(0.71), "dense": aucs(0.70), "lazy": aucs(0.68)},
            "1": {"row_sparse": aucs(0.69), "dense": aucs(0.72), "lazy": aucs(0.70)},
            "2": {"row_sparse": aucs(0.9)},  # not finished
        }
    )
    assert told["row_sparse - dense"]["cvr_auc"] == {
        "by_seed": [0.01, -0.03],
        "mean": -0.01,
        "greatest": 0.03,
    }


def test_bfloat16_stands_beside_the_comparison_not_in_it():
    made = {"idefn_tf": 100, "idefn_tf_bfloat16": 110, "deepctr": 40, "torch_rechub": 20}
    found = training.speeds({name: {"samples_per_second": speed} for name, speed in made.items()})
    assert found["samples_per_second"] == made
    assert found["times"] == {"deepctr": 2.5, "torch_rechub": 5}
    assert found["times_in_bfloat16"] == {"deepctr": 2.75, "torch_rechub": 5.5}


def test_the_committed_page_is_that_of_the_committed_result():
    result = json.loads(
        (ROOT / "benchmarks/results/training/training.json").read_text(encoding="utf-8")
    )
    assert (ROOT / "benchmarks/results/training/training.md").read_text(encoding="utf-8") == page(
        result
    )
    assert set(result["samples_per_second"]) >= {"idefn_tf", "deepctr", "torch_rechub"}
    assert {"10000", "4000000", "10000000"} <= set(result["step_ms_by_table_rows"])
    assert result["machine"]["libraries"]["cores"] >= 1
    waiting = {rows: found["profiler"]["waiting_share"] for rows, found in result["input"].items()}
    assert {"held", "streamed", "streamed_tfrecord"} <= set(waiting)
    assert max(waiting.values()) < 0.1, "what the project promises"
    whole = result["profile"]["waiting_ms"] + result["profile"]["step_ms"]
    assert abs(sum(result["profile"]["parts_ms"].values()) - whole) < 0.05
