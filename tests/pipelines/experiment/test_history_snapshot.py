"""pipelines.export --with-history: whose events, as of when, how old, how large, whom not."""

import json
import re
import shutil

import pandas as pd
import pyarrow as pa
import pytest

from idefn_tf.export import Scorer, list_versions
from idefn_tf.history import attach
from pipelines import evaluate, export
from pipelines.experiment import history_snapshot
from pipelines.experiment.evaluation import evaluate_table
from pipelines.experiment.history_snapshot import SnapshotOptions, snapshot_of
from pipelines.experiment.run_folder import Run
from pipelines.experiment.stale_history import both_ways, sentence
from pipelines.preparation.prepared_folder import Prepared

pytestmark = pytest.mark.job


@pytest.fixture(scope="module")
def run(past, tmp_path_factory):
    folder = past.write_run(tmp_path_factory.mktemp("runs") / "past", past.train())
    return Run.open(folder)


@pytest.fixture(scope="module")
def data(past, tmp_path_factory):
    return Prepared.open(past.write_prepared(tmp_path_factory.mktemp("prepared") / "data"))


def after(past, hours):
    """Seconds since 1970, so many hours after the midnight that follows the newest exposure."""
    return past.BEGIN + 5 * past.DAY + hours * 3600


def test_events_of_the_data_and_of_files_count_once(past, run, data, tmp_path):
    log = past.make_log()
    more = log.assign(at=log["at"] + 5 * past.DAY)
    both = tmp_path / "more.parquet"
    pd.concat([log, more]).to_parquet(both)
    options = SnapshotOptions(events=[str(both)])
    found, about = snapshot_of(run, data, options, after(past, 5 * 24 + 1))
    table = found.numbers[0]
    total = table.matrix[:-1, table.names.index("user__exposure_count__all")].sum()
    assert total == 2 * len(log)
    assert found.as_of == past.BEGIN + 10 * past.DAY
    assert about == {"refresh": "daily", "age_hours": 1.0, "stale": False}


def test_a_snapshot_older_than_its_refresh_needs_a_word(past, run, data):
    message = r"is daily, received one as of 2023-11-20T00:00:00\+00:00, 25.0 hours old;\n.*--allow"
    with pytest.raises(ValueError, match=message):
        snapshot_of(run, data, SnapshotOptions(), after(past, 25))
    _, about = snapshot_of(run, data, SnapshotOptions(allow_stale=True), after(past, 25))
    assert about == {"refresh": "daily", "age_hours": 25.0, "stale": True}
    _, about = snapshot_of(run, data, SnapshotOptions(), after(past, 24))
    assert about["stale"] is False


def test_before_the_next_refresh_the_last_one_counts(past, run, data):
    late = int(past.make_log()["at"].max()) + 10
    assert late < past.BEGIN + 5 * past.DAY
    found, about = snapshot_of(run, data, SnapshotOptions(), late)
    assert found.as_of == past.BEGIN + 4 * past.DAY
    assert about["stale"] is False
    table = found.numbers[0]
    total = table.matrix[:-1, table.names.index("user__exposure_count__all")].sum()
    assert total == (past.make_log()["at"] < found.as_of).sum()


def test_a_snapshot_before_the_training_days_is_refused_with_both(run, data):
    message = r"as of 2023-11-17T06:00:00\+00:00 for a run .* on 2023-11-15\.\.2023-11-18;\ngive"
    with pytest.raises(ValueError, match=message):
        snapshot_of(run, data, SnapshotOptions(as_of="2023-11-17T06:00"))


def test_users_are_named_in_a_file(past, run, data, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{past.LARGE + 2}\n\n{past.LARGE + 5}\n")
    found, _ = snapshot_of(run, data, SnapshotOptions(keys=str(ids)), after(past, 1))
    assert (found.users, len(found.left_out)) == (2, 6)
    ids.write_text("3\nu7\n")
    with pytest.raises(ValueError, match=r"one whole number a line, received 'u7' in line 2;\nw"):
        snapshot_of(run, data, SnapshotOptions(keys=str(ids)))


def test_what_is_too_large_is_refused_with_the_clients_way(past, run, data, monkeypatch):
    monkeypatch.setattr(history_snapshot, "LARGEST", 100)
    with pytest.raises(ValueError, match=r"at most 100 bytes, received [\d,]+;\n.*serving.client"):
        snapshot_of(run, data, SnapshotOptions(), after(past, 1))


def test_without_data_and_events_the_cure_is_named(run):
    with pytest.raises(ValueError, match=r"no longer where they were;\ngive --data"):
        snapshot_of(run, None, SnapshotOptions())


def test_evaluate_computes_the_history_of_a_file(past, run, data, tmp_path, capsys):
    log = past.make_log()
    late = log[log["at"] >= past.BEGIN + 4 * past.DAY].reset_index(drop=True)
    path = tmp_path / "late.parquet"
    late.to_parquet(path)
    asked = ["--run", str(run.root), "--data", str(path), "--json", "-", "--quiet"]
    assert evaluate.main([*asked, "--events", str(data.root)]) == 0
    found = json.loads(capsys.readouterr().out)["all"]["all_funnel"]
    whole = past.make_frame()
    own = whole[whole["at"] >= past.BEGIN + 4 * past.DAY].reset_index(drop=True)
    truth = evaluate_table(run.load_model(), run.schema(), pa.Table.from_pandas(own))["all_funnel"]
    assert found["rows"] == len(late)
    assert found["cvr_auc"] == pytest.approx(truth["cvr_auc"], abs=1e-6)
    assert found["cvr_logloss"] == pytest.approx(truth["cvr_logloss"], abs=1e-6)
    own.to_parquet(path)
    assert evaluate.main([*asked, "--events", str(data.root)]) == 2
    assert "whose history is not there yet" in capsys.readouterr().err
    assert evaluate.main([*asked[:3], str(data.root), "--events", str(data.root)]) == 2
    assert "a prepared folder, which holds its history" in capsys.readouterr().err


def main(run, base, *more):
    return export.main(["--run", str(run.root), "--model-base", str(base), *map(str, more)])


def test_the_job_writes_a_version_that_takes_ids_alone(past, run, data, tmp_path, capsys):
    base = tmp_path / "models" / "past"
    wanted = ("--with-history", "--data", data.root)
    assert main(run, base, *wanted) == 2
    assert "hours old" in capsys.readouterr().err
    assert not list_versions(base)
    rows = tmp_path / "rows.parquet"
    past.make_frame().to_parquet(rows)
    assert main(run, base, *wanted, "--allow-stale", "--min-events", 22, "--rows", rows) == 0
    said = capsys.readouterr().err
    assert re.search(r"history as of 2023-11-20T\S+, [\d,]+ bytes, \d users left out", said)
    assert "older than refresh daily" in said
    card = json.loads((base / "1" / "assets.extra" / "model_card.json").read_text())
    assert card["snapshot"]["stale"] is True
    assert card["snapshot"]["users"] + card["snapshot"]["users_left_out"] == 8
    assert card["snapshot"]["users_left_out"] > 0
    with Scorer(base / "1") as scorer:
        assert sorted(scorer.inputs()) == ["city", "tag", "user", "video"]
    # a second version stands before the gate with the rows' own history
    assert main(run, base, *wanted, "--allow-stale", "--rows", rows) == 0
    card = json.loads((base / "2" / "assets.extra" / "model_card.json").read_text())
    assert card["gate"]["metric"]["candidate"] == card["gate"]["metric"]["served"]


def test_options_of_history_need_it(run, tmp_path, capsys):
    assert main(run, tmp_path / "cvr", "--min-events", 3) == 2
    assert "--with-history: must be given" in capsys.readouterr().err


def test_a_run_without_history_is_refused(run, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(run.root, folder)
    text = (folder / "schema.yaml").read_text()
    (folder / "schema.yaml").write_text(
        re.sub(r"(?ms)^(history|sequences):.*?(?=^\w|\Z)", "", text)
    )
    with pytest.raises(ValueError, match="must be a run with history"):
        snapshot_of(Run.open(folder), None, SnapshotOptions())


def test_what_an_old_snapshot_costs_is_measured_on_the_test_days(past, run, data, tmp_path):
    """The last two days: their own history is of each midnight, the snapshot's of the first."""
    folder = tmp_path / "data"
    shutil.copytree(data.root, folder)
    begin = past.BEGIN + 3 * past.DAY
    frame = past.make_frame()
    late = frame[frame["at"] >= begin].reset_index(drop=True)
    (folder / "test").mkdir()
    late.assign(exposure_time=late["at"]).to_parquet(folder / "test" / "part-00000.parquet")
    card = json.loads((folder / "card.json").read_text())
    card["splits"]["test"] = {"rows": len(late)}
    (folder / "card.json").write_text(json.dumps(card))
    model = run.load_model()
    found = both_ways(run, model, Prepared.open(folder), SnapshotOptions())
    history = past.SCHEMA.history.model_copy(update={"refresh": "continuous"})
    at_once = past.SCHEMA.model_copy(update={"history": history})
    rows = late[["user", "city", "video", "tag"]].assign(at=begin)
    old = attach(at_once, rows, past.make_log(), priors=past.PRIORS)
    old[["click", "conversion"]] = late[["click", "conversion"]]
    for way, table in (("own", late), ("snapshot", old)):
        truth = evaluate_table(model, past.SCHEMA, pa.Table.from_pandas(table))
        for space in ("all_funnel", "clicked"):
            for metric in ("cvr_auc", "cvr_pcoc"):
                assert found[way][space][metric] == pytest.approx(truth[space][metric], abs=1e-5)
    assert found["own"] != found["snapshot"]
    assert (found["as_of"], found["rows"]) == ("2023-11-18T00:00:00+00:00", len(late))
    assert found["age_hours"] == pytest.approx((late["at"] - begin).mean() / 3600, abs=0.01)
    assert f"CVR AUC {found['own']['all_funnel']['cvr_auc']:.4f} with their own" in sentence(found)


def test_without_test_rows_nothing_is_measured(run, data):
    assert both_ways(run, run.load_model(), data, SnapshotOptions()) is None
