"""History that the client fills in or leaves to the snapshot; sent history against Python's."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from idefn_tf.export import export_model, signatures
from idefn_tf.export.replay import python_scores, request_arrays
from idefn_tf.history import attach
from idefn_tf.history.snapshot import take_snapshot
from serving import client as clients
from serving import skew
from serving.client import Client, MissingInputError
from serving.common import event_lists
from serving.common.history_requests import HistoryFill

LISTS = {"video": pa.list_(pa.int64()), "tag": pa.list_(pa.string())}
RECORDED = ["user", "city", "video", "tag"]


@pytest.fixture(scope="module")
def prepared(past, tmp_path_factory):
    return past.write_prepared(tmp_path_factory.mktemp("prepared") / "data")


@pytest.fixture(scope="module")
def snapshot(past):
    """As of the midnight after the newest exposure."""
    return take_snapshot(past.SCHEMA, past.events(), past.PRIORS)


@pytest.fixture(scope="module")
def snapshot_url(past, past_model, snapshot, tmp_path_factory, embedded):
    base = tmp_path_factory.mktemp("models") / "past"
    export_model(past_model, past.SCHEMA, base, snapshot=snapshot)
    return embedded("--model_name=past", f"--model_base_path={base}")


def midnight(past):
    return str(past.BEGIN + 5 * past.DAY)


def truth(past, past_model, rows, at):
    whole = attach(past.SCHEMA, rows.assign(at=int(at)), past.make_log(), priors=past.PRIORS)
    return whole, python_scores(past_model, past.SCHEMA, request_arrays(past.SCHEMA, whole))["cvr"]


def test_names_of_signatures_are_those_of_exports():
    assert event_lists.WITH_HISTORY == signatures.WITH_HISTORY
    assert event_lists.DEFAULT == signatures.DEFAULT


def test_a_client_fills_history_from_a_prepared_folder(past, past_model, past_url, prepared):
    rows = past.make_log()[RECORDED][:40]
    at = str(past.BEGIN + 3 * past.DAY + 7777)  # a daily refresh looks back from midnight
    _, expected = truth(past, past_model, rows, at)
    for given in (rows, rows.to_dict("records")):
        with Client(past_url, "past", past.SCHEMA, history=prepared, at=at) as client:
            found = client.predict(given)["cvr"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    _, later = truth(past, past_model, rows, midnight(past))
    assert np.abs(later - expected).max() > 1e-3


def test_ids_alone_are_answered_with_the_snapshot(past, past_model, snapshot_url, prepared):
    rows = past.make_log()[RECORDED][:40]
    whole, expected = truth(past, past_model, rows, midnight(past))
    with Client(snapshot_url, "past", past.SCHEMA) as client:
        assert client.looks_up
        plain = client.predict(rows)["cvr"]
        one = client.predict(rows.iloc[0].to_dict())["cvr"]
        sent = client.predict(whole.drop(columns="at"))["cvr"]
    for found in (plain, sent):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert one == pytest.approx(expected[:1], abs=1e-6)
    at = str(past.BEGIN + 3 * past.DAY)
    _, earlier = truth(past, past_model, rows, at)
    with Client(snapshot_url, "past", past.SCHEMA, history=prepared, at=at) as client:
        np.testing.assert_allclose(client.predict(rows)["cvr"], earlier, rtol=0, atol=1e-6)


def test_ids_alone_are_refused_where_nothing_is_looked_up(past, past_url):
    with Client(past_url, "past", past.SCHEMA) as client:
        assert not client.looks_up
        with pytest.raises(MissingInputError, match="row 0 lacks user__exposure_count__2d"):
            client.predict(past.make_log()[RECORDED][:2])


def test_the_command_fills_history_and_says_what_is_wrong(
    past, past_url, prepared, tmp_path, capsys
):
    past.SCHEMA.save(tmp_path / "schema.yaml")
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(past.make_log()[RECORDED][:2].to_dict("records")))
    common = ["--url", past_url, "--model", "past", "--schema", str(tmp_path / "schema.yaml")]
    more = ["--json", str(rows), "--history", str(prepared)]
    assert clients.main([*common, *more, "--at", "2023-11-18"]) == 0
    assert len(json.loads(capsys.readouterr().out)["cvr"]) == 2
    assert clients.main([*common, *more, "--at", "yesterday"]) == 2
    assert "at: must be a moment such as 2024-05-08" in capsys.readouterr().err
    assert clients.main([*common, "--json", str(rows), "--at", "2023-11-18"]) == 2
    assert "at: must stand beside history" in capsys.readouterr().err
    assert clients.main([*common, "--json", str(rows), "--history", str(tmp_path)]) == 2
    assert "must be a prepared folder with events.parquet" in capsys.readouterr().err
    assert clients.main([*common, "--example"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["signature_name"] == "serving_with_history"
    with Client(past_url, "past") as client:
        assert client.send(body)["outputs"]["cvr"]


def ask(run, url, rows, *more):
    return skew.main(["--run", str(run), "--url", url, "--model", "past", "--data", str(rows),
                      "--json", "-", "--quiet", *map(str, more)])  # fmt: skip


def test_sent_history_is_compared_with_pythons(
    past, past_run, past_url, prepared, tmp_path, capsys
):
    logged = past.make_frame().drop(columns=["click", "conversion"])
    path = tmp_path / "day.parquet"
    logged.to_parquet(path)
    assert ask(past_run, past_url, path, "--history", prepared) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["history"]["failed"] == report["skew"]["failed"] == []
    assert set(report["history"]["columns"]) == past.SCHEMA.generated
    counts = logged["user__click_count__all"].to_numpy().copy()
    counts[7] += 2
    lists = [list(reversed(e)) for e in logged["clicks__video"]]
    logged.assign(user__click_count__all=counts, clicks__video=lists).to_parquet(path)
    assert ask(past_run, past_url, path, "--history", prepared) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["history"]["failed"] == ["clicks__video", "user__click_count__all"]
    found = report["history"]["columns"]["user__click_count__all"]
    assert (found["rows_beyond"], found["worst_row"]) == (1, 7)
    assert found["sent"] - found["python"] == 2
    assert report["skew"]["failed"] == []  # the model itself answers alike


def test_prepared_rows_are_compared_as_of_their_own_times(
    past, past_run, past_url, prepared, tmp_path, capsys
):
    logged = past.make_frame().rename(columns={"at": "exposure_time"})
    logged.to_parquet(tmp_path / "rows.parquet")
    assert ask(past_run, past_url, tmp_path / "rows.parquet", "--history", prepared) == 0
    assert json.loads(capsys.readouterr().out)["history"]["failed"] == []


def test_a_snapshot_has_no_skew_as_of_its_moment(
    past, past_run, snapshot_url, prepared, tmp_path, capsys
):
    path = tmp_path / "day.parquet"
    past.make_log()[RECORDED].to_parquet(path)
    assert ask(past_run, snapshot_url, path, "--history", prepared, "--at", midnight(past)) == 0
    other = str(past.BEGIN + 3 * past.DAY)
    assert ask(past_run, snapshot_url, path, "--history", prepared, "--at", other) == 1
    assert ask(past_run, snapshot_url, path) == 2
    past.make_frame().drop(columns="at").to_parquet(path)  # of which time?
    assert ask(past_run, snapshot_url, path, "--history", prepared) == 2
    assert "rows: must hold 'at', as of which" in capsys.readouterr().err


def test_drift_covers_generated_numbers_and_lists(past, past_run, past_url, tmp_path, capsys):
    frame = past.make_frame().drop(columns=["click", "conversion"])
    path = tmp_path / "day.parquet"
    frame.to_parquet(path)
    assert ask(past_run, past_url, path) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["drift"]["drifted"] == {}
    empty = float((frame["clicks__video"].str.len() == 0).mean())
    assert report["rates"]["clicks__video"]["missing"] == pytest.approx(empty)
    assert report["rates"]["clicks__video"]["out_of_vocabulary"] == 0.0
    frame["user__click_count__all"] += 50
    for name in ("video", "tag", "gap"):
        frame[f"clicks__{name}"] = [[] for _ in range(len(frame))]
    frame["clicks__video"] = frame["clicks__video"].astype(pd.ArrowDtype(LISTS["video"]))
    frame["clicks__gap"] = frame["clicks__gap"].astype(pd.ArrowDtype(LISTS["video"]))
    frame["clicks__tag"] = frame["clicks__tag"].astype(pd.ArrowDtype(LISTS["tag"]))
    frame.to_parquet(path)
    assert ask(past_run, past_url, path) == 0
    drifted = json.loads(capsys.readouterr().out)["drift"]["drifted"]
    assert set(drifted) == {"user__click_count__all", "clicks__video"}
    assert "missing values changed" in drifted["clicks__video"][0]


def test_fill_needs_history_in_the_schema(tiny, prepared):
    with pytest.raises(ValueError, match="history: must be asked of a schema with history"):
        HistoryFill(tiny.SCHEMA, prepared)


def test_a_null_beside_a_large_id_changes_no_history(past, prepared):
    fill = HistoryFill(past.SCHEMA, prepared, midnight(past))
    row = {"city": "a", "video": 3, "tag": "x"}
    made = fill([{"user": past.LARGE + 1, **row}, {"user": None, **row}])
    log = past.make_log()
    counts = log.groupby("user").size()
    assert counts[past.LARGE] != counts[past.LARGE + 1]
    assert made[0]["user__exposure_count__all"] == counts[past.LARGE + 1]
    assert made[0]["user"] == past.LARGE + 1
    assert (made[1]["user__exposure_count__all"], made[1]["clicks__video"]) == (0.0, [])


def test_a_key_that_a_row_lacks_is_named(past, prepared):
    fill = HistoryFill(past.SCHEMA, prepared, midnight(past))
    with pytest.raises(ValueError, match=r"rows: must hold 'tag', by which .*\['city', 'user', 'v"):
        fill({"user": 1, "city": "a", "video": 3})
