"""Training as a user runs it: runs are whole, resumed runs equal uninterrupted ones."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from pipelines import evaluate, train
from pipelines.cli.console import Console
from pipelines.datasets.simulated_funnel import simulated_funnel
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict
from pipelines.experiment.run_folder import Run

QUIET = Console(quiet=True)
SMALL = {
    "backbone": {"name": "mlp", "units": [16, 8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 256, "epochs": 4, "patience": 4, "jit_compile": False},
}
SPACES = {"all_raw", "all_funnel", "clicked", "unclicked_raw", "oracle"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def data(folder, simulated):
    return simulated(folder, 6000)


def config(method, **model):
    return Config.parse({"method": method, "model": model, **SMALL})


def history(run):
    with run.history_path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(data, folder):
    return train.train(config("all_negative"), data.root, folder / "whole", QUIET)


def test_a_run_leaves_what_the_contract_names(finished):
    for name in ("config.yaml", "schema.yaml", "metrics.json", "history.csv", "card.json"):
        assert (finished.root / name).is_file(), name
    assert (finished.checkpoints / "best.keras").is_file()
    assert list(finished.vocabularies.glob("*.json"))
    metrics = json.loads(finished.metrics_path.read_text())
    assert set(metrics) == {"validation", "test"}
    assert set(metrics["test"]) == SPACES
    assert {"cvr_auc", "cvr_ks", "cvr_logloss", "cvr_pcoc", "rows"} <= set(
        metrics["test"]["clicked"]
    )
    assert metrics["test"]["clicked"]["rows"] < metrics["test"]["all_raw"]["rows"]


def test_a_model_learns_something(finished):
    auc = json.loads(finished.metrics_path.read_text())["validation"]["all_funnel"]["cvr_auc"]
    assert auc > 0.55


@pytest.mark.job
def test_a_run_stopped_after_an_epoch_and_taken_up_again_gives_the_same_history(
    data, folder, finished, monkeypatch
):
    class Stopped(Exception):
        pass

    class Stopper(train.Progress):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise Stopped

    out = folder / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(train, "Progress", Stopper)
        with pytest.raises(Stopped):
            train.train(config("all_negative"), data.root, out, QUIET)
    again = train.train(config("all_negative"), data.root, out, QUIET)
    whole, resumed = history(finished), history(again)
    assert [row["epoch"] for row in resumed] == ["1", "2", "3", "4"]
    for a, b in zip(whole, resumed, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            assert float(a[key]) == pytest.approx(float(b[key]), rel=1e-5, abs=1e-6), key
    a, b = (json.loads(r.metrics_path.read_text()) for r in (finished, again))
    assert a["test"]["all_funnel"]["cvr_auc"] == pytest.approx(
        b["test"]["all_funnel"]["cvr_auc"], abs=1e-6
    )


def test_a_finished_run_asked_for_again_is_left_as_it_is(data, finished):
    before = (finished.checkpoints / "best.keras").stat().st_mtime_ns
    train.train(config("all_negative"), data.root, finished.root, QUIET)
    assert (finished.checkpoints / "best.keras").stat().st_mtime_ns == before
    assert len(history(finished)) == 4


@pytest.mark.job
def test_a_loss_that_is_not_finite_ends_the_job_in_one_sentence(data, folder, capsys):
    settings = {**SMALL, "optimizer": {"name": "row_sparse_adam", "learning_rate": 1e30}}
    path = folder / "diverging.json"
    path.write_text(json.dumps({"method": "all_negative", **settings}))  # YAML holds JSON
    given = ["--config", path, "--data", data.root, "--out", folder / "diverged", "--quiet"]
    assert train.main([str(part) for part in given]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("error loss: must be finite, received nan in epoch 1 (ctr_loss, ")
    assert told.endswith("or look for wild numeric inputs")  # and no traceback


def test_a_folder_with_another_run_is_refused(data, finished):
    with pytest.raises(ValueError, match="another config"):
        train.train(config("all_negative", gamma=3), data.root, finished.root, QUIET)


def test_evaluate_gives_the_runs_own_numbers_again(data, finished, capsys):
    status = evaluate.main(
        ["--run", str(finished.root), "--data", str(data.root), "--json", "-", "--quiet"]
    )
    assert status == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"test": json.loads(finished.metrics_path.read_text())["test"]}


def test_evaluate_takes_one_file_of_exposures(data, finished, capsys):
    path = data.files("validation")[0]
    assert evaluate.main(["--run", str(finished.root), "--data", str(path), "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = json.loads(finished.metrics_path.read_text())["validation"]
    assert printed["all"]["all_funnel"]["cvr_auc"] == pytest.approx(
        expected["all_funnel"]["cvr_auc"]
    )


@pytest.mark.job
def test_evaluate_reads_csv_by_the_schema(data, finished, folder, capsys):
    frame = pd.read_parquet(data.files("validation")[0])
    for name in ("item_tags", "item_tags_weights"):
        frame[name] = [",".join(map(str, entries)) for entries in frame[name]]
    path = folder / "validation.csv"
    frame.to_csv(path, index=False, sep=";", decimal=",")
    assert evaluate.main(["--run", str(finished.root), "--data", str(path), "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)["all"]["all_funnel"]
    expected = json.loads(finished.metrics_path.read_text())["validation"]["all_funnel"]
    assert printed["cvr_auc"] == pytest.approx(expected["cvr_auc"])


@pytest.mark.job
def test_evaluate_prepares_a_raw_folder_it_has_never_seen(folder, finished, capsys):
    raw = folder / "unseen"
    simulated_funnel.simulate(raw, Options(exposures=3000, preset="easy", seed=2))
    vocabularies = sorted(p.read_bytes() for p in finished.vocabularies.glob("*.json"))
    assert evaluate.main(["--run", str(finished.root), "--raw", str(raw), "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["all"]["all_raw"]["rows"] == 3000
    assert set(printed["all"]) == SPACES
    assert sorted(p.read_bytes() for p in finished.vocabularies.glob("*.json")) == vocabularies


@pytest.mark.job
def test_evaluate_says_that_the_raw_rows_are_those_of_training(folder, finished, capsys):
    words = ["--run", str(finished.root), "--raw", str(folder / "raw"), "--quiet"]
    assert evaluate.main(words) == 0
    told = " ".join(capsys.readouterr().err.split())
    days = ", ".join(f"2024-03-0{day}" for day in range(1, 7))
    assert f"warning all: holds days that the run was trained on, {days}; the numbers" in told


def test_a_log_that_nothing_was_taken_out_of_is_weighed_so(data, folder, finished, capsys):
    """The run says that a tenth of its unclicked rows was kept; its test rows are given whole."""
    run = folder / "sampled"
    shutil.copytree(finished.root, run)
    schema = finished.schema()
    labels = schema.labels.model_copy(update={"negative_keep_rate": 0.1})
    schema.model_copy(update={"labels": labels}).save(run / "schema.yaml")
    words = ["--run", str(run), "--data", str(data.files("test")[0]), "--json", "-"]

    def told(*more):
        assert evaluate.main([*words, *more]) == 0
        found = capsys.readouterr()
        return json.loads(found.out)["all"]["all_funnel"], " ".join(found.err.split())

    whole, said = told("--whole-log")
    expected = json.loads(finished.metrics_path.read_text())["test"]["all_funnel"]
    assert whole["cvr_pcoc"] == pytest.approx(expected["cvr_pcoc"], rel=1e-6)
    assert "every row counts once (--whole-log)" in said
    assert "leave --whole-log out" in said  # as many clicks as in training: it is no whole log
    weighed, said = told()
    assert weighed["cvr_pcoc"] > 2 * whole["cvr_pcoc"]
    assert "an unclicked row counts 10 times" in said
    assert "warning" not in said


@pytest.mark.job
def test_evaluate_values_the_top_tenth_of_each_days_rows(data, finished, capsys):
    words = ["--run", str(finished.root), "--data", str(data.root), "--json", "-"]
    assert evaluate.main([*words, "--policy", "--exposure-probability", "0.5"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)["test"]
    assert set(found) == SPACES | {"policy"}
    policy = found["policy"]
    assert (policy["policy"], policy["score"]) == ("top:0.1", "ctcvr")
    table = data.table("test").to_pandas()
    rows = np.ravel(predict(finished.load_model(), data.schema, data.table("test"))["ctcvr"])
    day = table["exposure_time"] // 86_400_000
    best = [table["click"].to_numpy()[day == d][np.argsort(-rows[day == d])] for d in set(day)]
    # the border's row counts in part
    shown = [(len(clicks) * 0.1, clicks) for clicks in best]
    clicks = sum(c[: int(n)].sum() + (n % 1) * c[int(n)] for n, c in shown)
    assert policy["click"]["snips"] == pytest.approx(clicks / sum(n for n, _ in shown), rel=1e-4)
    assert policy["click"]["doubly_robust"] is None
    said = " ".join(told.err.split())
    assert "test: policy top:0.1 by ctcvr" in said
    assert "SNIPS" in said


@pytest.mark.job
def test_a_raw_log_with_probabilities_is_valued(folder, finished, tmp_path, capsys):
    raw = tmp_path / "raw"
    shutil.copytree(folder / "raw", raw)
    for path in raw.glob("exposures-*.parquet"):
        frame = pd.read_parquet(path)
        frame.assign(shown_p=np.where(frame["click"] == 1, 0.2, 0.8)).to_parquet(path)
    words = ["--run", str(finished.root), "--raw", str(raw), "--json", "-"]
    more = ["--policy", "top:1", "--exposure-probability", "shown_p"]
    assert evaluate.main([*words, *more]) == 0
    found = json.loads(capsys.readouterr().out)["all"]["policy"]["click"]
    # a clicked row stands for 5, another for 1.25
    clicked = found["logged"] * 5
    assert found["snips"] == pytest.approx(clicked / (clicked + (1 - found["logged"]) * 1.25))


def test_a_log_without_probabilities_values_no_policy(data, finished, capsys):
    words = ["--run", str(finished.root), "--data", str(data.root), "--policy", "top:0.1"]
    assert evaluate.main(words) == 2
    assert "labels.exposure_probability: must be the column" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "{run}", "--data", "{data}", "--part", "moon"], "part"),
        (["--run", "{data}/nowhere", "--data", "{data}"], "run"),
        (["--run", "{run}", "--data", "{data}/nowhere"], "source"),
    ],
)
def test_a_wrong_request_is_one_clear_message(data, finished, capsys, arguments, message):
    filled = [a.format(run=finished.root, data=data.root) for a in arguments]
    assert evaluate.main(filled) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


@pytest.mark.job
def test_the_report_columns_cannot_change_training(data, folder, finished):
    copy = folder / "data_without_truth"
    shutil.copytree(data.root, copy)
    shutil.rmtree(copy / "reports")
    shutil.copytree(data.root / "reports", copy / "reports")
    for path in (copy / "reports" / "train").glob("*.parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        for name in ("conversion_raw", "oracle_conversion"):
            i = table.column_names.index(name)
            flipped = pa.array(1 - np.asarray(table[name]), table.schema.field(name).type)
            table = table.set_column(i, table.schema.field(name), flipped)
        pq.write_table(table, path)
    other = train.train(
        config("all_negative"), copy, folder / "without_truth", QUIET, evaluate=False
    )
    for a, b in zip(history(finished), history(other), strict=True):
        assert a == b


def test_opening_what_is_no_run_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"pipelines\.train"):
        Run.open(tmp_path)


def test_rows_of_another_schema_are_not_scored(finished, data):
    """The prepared schema without a feature that the model reads."""
    name = data.schema.features[0].name
    other = data.schema.model_copy(update={"features": data.schema.features[1:]})
    told = rf"^data: must be prepared by the run's schema, received rows without \['{name}'\];"
    with pytest.raises(ValueError, match=told):
        predict(finished.load_model(), other, data.table("test"))


def test_a_part_of_a_file_is_refused(finished, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("click\n1\n")
    arguments = ["--run", str(finished.root), "--data", str(path), "--part", "test"]
    assert evaluate.main(arguments) == 2
    told = f"part: {path} is not a prepared folder, so it has no parts; leave it out"
    assert told in " ".join(capsys.readouterr().err.split())
