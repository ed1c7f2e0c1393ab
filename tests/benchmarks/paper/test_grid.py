"""The grid with real processes on a small simulated funnel: resumed, refused, told apart."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.paper import case_study, result
from benchmarks.paper import command as paper
from benchmarks.paper.grid import Cell, read_rows, run_cells
from benchmarks.paper.kept import read_kept
from benchmarks.paper.oracle_rows import open_with_truth
from idefn_tf.data import EpochClock
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run

QUIET = Console(quiet=True)
SMALL = {
    "backbone": {"name": "mlp", "units": [8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 512, "epochs": 1, "jit_compile": False, "audit": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def data(folder, simulated):
    return simulated(folder, 4000)


def cell(folder, method, seed=0, **model):
    config = Config.parse({"method": method, "model": model, **SMALL})
    return Cell("fixed", method, "mlp", seed, config, folder / method / f"seed{seed}")


@pytest.fixture(scope="module")
def cells(folder, data):
    wanted = [
        cell(folder / "runs", "all_negative"),
        cell(folder / "runs", "idefn", transport={"steps": 20}),
    ]
    assert run_cells(wanted, data.root, QUIET, jobs=2) == []
    return wanted


@pytest.mark.process
def test_a_finished_grid_has_a_row_for_every_cell(cells):
    rows = read_rows(cells)
    assert [(r["method"], r["seed"]) for r in rows] == [("all_negative", 0), ("idefn", 0)]
    for row in rows:
        assert set(row["metrics"]) == {
            "all_raw",
            "all_funnel",
            "clicked",
            "unclicked_raw",
            "oracle",
        }
        assert set(row["validation"]) == {"all_funnel", "clicked"}  # what a choice may see
        assert row["code"]


@pytest.mark.process
def test_the_test_scores_are_kept_for_tests_over_users(cells, data):
    with np.load(cells[0].folder / "test_scores.npz") as scores:
        assert set(scores) == {"ctr", "cvr", "ctcvr"}
        assert len(scores["cvr"]) == data.card["splits"]["test"]["rows"]


@pytest.mark.process
def test_finished_cells_are_left_alone(cells, data):
    before = [(c.folder / "cell.json").stat().st_mtime_ns for c in cells]
    assert run_cells(cells, data.root, QUIET) == []
    assert [(c.folder / "cell.json").stat().st_mtime_ns for c in cells] == before


@pytest.mark.process
def test_a_folder_of_another_config_is_refused(folder, cells, data):
    with pytest.raises(ValueError, match="another config"):
        run_cells([cell(folder / "runs", "all_negative", gamma=3)], data.root, QUIET)


def test_a_time_limit_starts_nothing_new(folder, data):
    late = cell(folder / "late", "esmm")
    assert run_cells([late], data.root, QUIET, time_limit=0.0) == []
    assert not late.folder.exists()
    with pytest.raises(ValueError, match="--jobs"):
        run_cells([late], data.root, QUIET, jobs=0)


@pytest.mark.process
def test_a_failed_cell_is_told_with_its_last_words(folder, data):
    bad = cell(folder / "bad", "idefn", representation="colour")  # no such feature
    (said,) = run_cells([bad], data.root, QUIET)
    assert "idefn seed 0: failed" in said
    assert "model.representation: must be of" in said
    assert read_rows([bad]) == []


def test_the_truth_reaches_the_control_that_is_told_it_and_deals_every_row_once(data):
    settings = Config.parse({"method": "oracle_relabel", **SMALL}).training
    report = data.report_table("train")
    told = {True: 0, False: 0}
    for _, labels, weight in open_with_truth(data, settings, EpochClock()):
        assert set(labels) == {"click", "conversion", "oracle_conversion"}
        unclicked = labels["click"].numpy() == 0
        told[True] += int(labels["oracle_conversion"].numpy()[unclicked].sum())
        told[False] += len(weight)
    assert told[False] == report.num_rows // 512 * 512
    truth, click = (
        np.asarray(t[c])
        for t, c in zip((report, data.table("train")), ("oracle_conversion", "click"), strict=True)
    )
    whole = int(truth[click == 0].sum())
    assert 0.7 * whole < told[True] <= whole


@pytest.mark.process
def test_a_result_is_made_again_from_itself_where_the_folders_are_gone(cells, data, folder):
    results = folder / "kept"
    first = result.collect("made", data, cells, "again", draws=5)
    assert first["bootstrap"]
    result.write(first, results, figures=())
    kept = read_kept(result.path_of(results, "made"), result.data_facts(data))
    gone = [dataclasses.replace(c, folder=folder / "gone" / c.variant) for c in cells]
    assert kept.missing(gone) == []
    second = result.collect("made", data, gone, "again", draws=5, kept=kept)
    for key in ("rows", "summary", "differences", "bootstrap", "configs"):
        assert json.dumps(second[key]) == json.dumps(first[key])  # nan is no number but itself


@pytest.mark.process
def test_the_case_study_counts_one_batch(cells, data):
    numbers, found, probe = case_study.study(Run.open(cells[1].folder), data)
    assert numbers["positives"] == len(found.positives) == found.plan.shape[0] - 1
    np.testing.assert_allclose(found.plan.sum(0), 1.0, rtol=1e-5)
    assert numbers["relabelled"] == int((found.labels > 0.5).sum()) == found.nearest.sum()
    assert numbers["probes_relabelled"] == int((probe & (found.labels > 0.5)).sum())
    assert len(set(found.positives)) == len(found.positives)
    assert 0 <= numbers["overlap_with_nearest_positive"] <= 1
    assert numbers["spies"]["converted_relabelled"] <= numbers["spies"]["converted"]
    json.dumps(numbers, allow_nan=False)
    with pytest.raises(ValueError, match="must be a run of idefn"):
        case_study.study(Run.open(cells[0].folder), data)


def test_the_command_collects_what_is_there_and_refuses_an_empty_grid(data, folder, capsys):
    arguments = ["--data", str(data.root), "--name", "made", "--out", str(folder / "none")]
    arguments += ["--results", str(folder / "results"), "--minutes", "0", "--quiet"]
    assert paper.main([*arguments, "--settings", "shipped", "--methods", "esmm"]) == 2
    assert "is finished" in capsys.readouterr().err
    assert paper.main([*arguments, "--methods", "moon"]) == 2
    assert "--methods" in capsys.readouterr().err
    assert paper.main([*arguments, "--methods", "esmm", "--keep"]) == 2
    assert "--keep: there is no result" in capsys.readouterr().err
