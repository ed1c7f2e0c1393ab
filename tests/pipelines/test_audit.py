"""The audit job: hidden clicks by hand, slices that add up, warnings that come when they should."""

import json
import math

import numpy as np
import pytest

from idefn_tf.data import to_arrays
from pipelines import audit
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.hidden_clicks import choose_hidden_clicks, hidden_click_test
from pipelines.train import train

pytestmark = pytest.mark.job

QUIET = Console(quiet=True)
SMALL = {
    "backbone": {"name": "mlp", "units": [16, 8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 256, "epochs": 2, "patience": 2, "jit_compile": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def data(folder, simulated):
    return simulated(folder, 6000)


@pytest.fixture(scope="module")
def run(folder, data):
    config = Config.parse({"method": "top_k_cvr", "model": {"kappa": 0.05}, **SMALL})
    return train(config, data.root, folder / "run", QUIET, evaluate=False)


@pytest.fixture(scope="module")
def told(run, data):
    arguments = ["--run", str(run.root), "--data", str(data.root), "--by", "user_segment"]
    assert audit.main([*arguments, "--quiet"]) == 0
    return json.loads((run.root / "audit.json").read_text())


def epoch(**changes):
    row = {
        "epoch": 1.0,
        "share": 0.02,
        "relabelled": 20.0,
        "lift": 3.0,
        "lift_high": 4.0,
        "churn": 0.3,
        "mean_cvr_unclicked": 0.02,
    }
    return {**row, **changes}


def test_every_epoch_and_the_best_model_are_told(run, told):
    assert [row["epoch"] for row in told["epochs"]] == [1.0, 2.0]
    assert told["epochs"][0]["churn"] is None  # nothing to compare with
    assert 0 <= told["epochs"][1]["churn"] <= 1
    best = told["best"]
    assert best["probes"]["relabelled"] == best["oracle"]["relabelled"] > 0
    assert best["oracle"]["share"] == pytest.approx(0.05, abs=0.005)
    assert best["oracle"]["prevalence"] >= best["probes"]["prevalence"]


def test_slices_cut_every_row_into_one_part(told):
    slices = told["best"]["slices"]
    whole = told["best"]["oracle"]
    for name in {part["slice"] for part in slices if "exposures" in part["slice"]}:
        parts = [part for part in slices if part["slice"] == name]
        assert len(parts) == 3
        for key in ("unclicked", "relabelled", "true"):
            assert sum(part[key] for part in parts) == whole[key]
    assert {p["slice"].split()[0] for p in slices} == {"user", "item", "user_segment"}


def test_hidden_clicks_are_counted_as_by_hand(data, run):
    model = run.load_model()
    arrays = to_arrays(data.schema, data.table("validation"))
    ctr = np.full(len(arrays["click"]), 0.5)
    found = hidden_click_test(model, arrays, ctr, batch_size=256, share=0.25, seed=3)
    hidden = choose_hidden_clicks(arrays["click"], ctr, 0.25, "uniform", 3)
    assert found["hidden"] == hidden.sum() == round(0.25 * arrays["click"].sum())
    assert found["converted"] == arrays["conversion"][hidden].sum()
    assert found["rate"] == pytest.approx(arrays["conversion"][hidden].mean())
    assert 0 <= found["found"] <= min(found["converted"], found["relabelled"])
    if found["relabelled"]:
        assert found["precision"] == pytest.approx(found["found"] / found["relabelled"])


def test_only_clicked_rows_are_hidden_and_propensity_prefers_unlikely_clicks():
    click = np.tile([1.0, 1.0, 0.0], 2000)
    ctr = np.tile([0.9, 0.1, 0.01], 2000)
    uniform = choose_hidden_clicks(click, ctr, 0.2, "uniform", 0)
    likely = choose_hidden_clicks(click, ctr, 0.2, "propensity", 0)
    for chosen in (uniform, likely):
        assert chosen.sum() == 800
        assert not np.any(chosen & (click == 0))
    assert abs(int(np.sum(uniform & (ctr == 0.1))) - 400) < 60
    # drawn with weights .1 and .9, without replacement
    assert np.sum(likely & (ctr == 0.1)) > 650


@pytest.mark.parametrize(
    ("share", "way", "message"),
    [
        (0.0, "uniform", "spy-share"),
        (1.0, "uniform", "spy-share"),
        (0.2, "odd", "way"),
        (0.04, "uniform", "--spy-share: 0.04 of 10 clicked rows is none; audit more rows"),
    ],
)
def test_wrong_shares_are_refused(share, way, message):
    with pytest.raises(ValueError, match=message):
        choose_hidden_clicks(np.ones(10), np.ones(10), share, way, 0)


def test_a_healthy_run_warns_of_nothing():
    assert audit.warnings_of([epoch(), epoch(epoch=1.0)]) == []
    assert audit.warnings_of([]) == []


@pytest.mark.parametrize(
    ("epochs", "word"),
    [
        ([epoch(share=0.0), epoch(share=0.0)], "no unclicked row"),
        ([epoch(share=0.02), epoch(share=0.001)], "collapse"),
        ([epoch(share=0.01), epoch(share=0.2)], "run away"),
        ([epoch(), epoch(mean_cvr_unclicked=0.5)], "believing"),
        ([epoch(lift=0.5, lift_high=0.8)], "worse than chance"),
        ([epoch(), epoch(churn=0.97)], "not settled"),
    ],
)
def test_each_trouble_has_its_warning(epochs, word):
    found = audit.warnings_of(epochs)
    assert len(found) == 1
    assert word in found[0]


def test_numbers_without_a_denominator_do_not_warn():
    silent = epoch(lift=math.nan, lift_high=math.nan, churn=math.nan)
    assert audit.warnings_of([silent]) == []


def test_what_training_left_is_enough_without_data(run, capsys):
    assert audit.main(["--run", str(run.root)]) == 0
    said = capsys.readouterr().err
    assert "every epoch" in said
    assert "compare it with the rate among all unclicked rows" in " ".join(said.split())


def test_a_method_without_labels_is_one_clear_message(data, folder, capsys):
    config = Config.parse({"method": "esmm", **SMALL})
    other = train(config, data.root, folder / "esmm", QUIET, evaluate=False)
    arguments = ["--run", str(other.root), "--quiet"]
    assert audit.main(arguments) == 2
    assert audit.main([*arguments, "--data", str(data.root)]) == 2
    said = capsys.readouterr().err
    assert "relabels nothing" in said
    assert "Traceback" not in said


def test_an_unknown_slice_is_refused(run, data):
    with pytest.raises(ValueError, match="--by"):
        audit.audit_model(run, data, features=["moon"])
