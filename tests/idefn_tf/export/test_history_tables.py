"""A snapshot in the graph: what it answers to ids, against the events themselves."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.export import Scorer, export_model
from idefn_tf.export.history_tables import HistoryTables
from idefn_tf.export.replay import python_scores, request_arrays
from idefn_tf.history import attach
from idefn_tf.history.as_of import next_refresh
from idefn_tf.history.snapshot import take_snapshot

pytestmark = pytest.mark.job


@pytest.fixture(scope="module")
def snapshot(past):
    return take_snapshot(past.SCHEMA, past.events(), past.PRIORS)


def asked(past, snapshot, users=None):
    """Rows of one moment: known and unknown keys, neighbours beyond 2**53, and what attach says."""
    rng = np.random.default_rng(3)
    users = rng.integers(-2, 12, 60) + past.LARGE if users is None else users
    rows = pd.DataFrame(
        {
            "user": users,
            "city": rng.choice(["a", "b", "ü c", "nowhere", ""], len(users)),
            "video": rng.integers(0, 12, len(users)),
            "tag": rng.choice(["x", "y", "z", "w"], len(users)),
        }
    )
    return rows, at_moment(past, rows, snapshot.as_of)


def at_moment(past, rows, moment):
    """attach, told that features are refreshed at the rows' own time."""
    history = past.SCHEMA.history.model_copy(update={"refresh": "continuous"})
    schema = past.SCHEMA.model_copy(update={"history": history})
    return attach(schema, rows.assign(at=moment), past.make_log(), priors=past.PRIORS)


def keys_of(rows):
    given = {name: np.asarray(rows[name]) for name in ("user", "city", "tag")}
    return {n: v if v.dtype.kind == "i" else np.char.encode(v.astype(str)).astype(object)
            for n, v in given.items()}  # fmt: skip


def compare(past, tables, rows, truth):
    found = {name: values.numpy() for name, values in tables(keys_of(rows)).items()}
    assert set(found) == past.SCHEMA.generated
    whole = request_arrays(past.SCHEMA, truth)
    for name, values in found.items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)
    return found


def test_look_ups_equal_attach_at_the_moment_to_the_bit(past, snapshot):
    rows, truth = asked(past, snapshot)
    found = compare(past, HistoryTables(past.SCHEMA, snapshot), rows, truth)
    unknown = ~rows["user"].isin(past.make_log()["user"])
    assert 5 < unknown.sum() < 55
    assert (found["user__click_count__all"][unknown] == 0).all()
    assert (found["user__click_rate__all"][unknown] == 0.25).all()
    assert np.isnan(found["user__click_hours_since__all"][unknown]).all()
    assert (found["clicks__video"][unknown] == -1).all()
    assert len(set(found["user__exposure_count__all"][~unknown])) > 4


def test_an_earlier_moment_sees_less(past):
    moment = past.BEGIN + 2 * past.DAY
    early = take_snapshot(past.SCHEMA, past.events(), past.PRIORS, moment=moment)
    rows, truth = asked(past, early)
    compare(past, HistoryTables(past.SCHEMA, early), rows, truth)
    shown = early.numbers[0]
    total = shown.matrix[:-1, shown.names.index("user__exposure_count__all")].sum()
    assert total == (past.make_log()["at"] < moment).sum()


def test_priors_of_a_snapshot_are_shares(past):
    with pytest.raises(ValueError, match=r"priors\['click'\]: must be a share.*received nan"):
        take_snapshot(past.SCHEMA, past.events(), {**past.PRIORS, "click": float("nan")})


def test_no_event_gives_everybody_the_empty_history(past):
    none = take_snapshot(past.SCHEMA, past.events(), past.PRIORS, moment=past.BEGIN - 1)
    rows, truth = asked(past, none)
    found = compare(past, HistoryTables(past.SCHEMA, none), rows, truth)
    assert (found["user__click_count__all"] == 0).all()


def test_rows_that_say_their_time_have_hours_and_gaps_as_of_then(past, snapshot):
    rows, _ = asked(past, snapshot)
    later = snapshot.as_of + np.random.default_rng(5).integers(0, 9 * past.DAY, len(rows))
    truth = attach(past.SCHEMA, rows.assign(at=later), past.make_log(), priors=past.PRIORS)
    whole = request_arrays(past.SCHEMA, truth)
    found = HistoryTables(past.SCHEMA, snapshot)(keys_of(rows), tf.constant(later))
    for name in [name for name in found if not name.endswith("__2d")]:  # windows stay
        if whole[name].dtype.kind == "f":
            np.testing.assert_allclose(found[name].numpy(), whole[name], rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name].numpy(), whole[name], err_msg=name)
    now = HistoryTables(past.SCHEMA, snapshot)(keys_of(rows))
    hours = "user__click_hours_since__all"
    moved = found[hours].numpy() - now[hours].numpy()
    days = (later - snapshot.as_of) // past.DAY  # features of a day are computed at its midnight
    known = ~np.isnan(moved)
    np.testing.assert_allclose(moved[known], 24.0 * days[known], rtol=1e-5)
    assert len(set(found["clicks__gap"].numpy().ravel())) == 4  # three buckets and padding
    assert (now["clicks__gap"].numpy() != found["clicks__gap"].numpy()).any()


def test_a_row_before_the_snapshot_is_told_what_the_snapshot_knows(past, snapshot):
    rows, _ = asked(past, snapshot)
    tables = HistoryTables(past.SCHEMA, snapshot)
    early = tables(keys_of(rows), tf.fill([len(rows)], tf.constant(past.BEGIN, tf.int64)))
    for name, values in tables(keys_of(rows)).items():
        np.testing.assert_array_equal(early[name].numpy(), values.numpy(), err_msg=name)


def test_users_are_left_out_by_list_and_by_number_of_events(past):
    log = past.make_log()
    counts = log.groupby("user").size()
    least = int(counts.sort_values().iloc[3])
    few = take_snapshot(past.SCHEMA, past.events(), past.PRIORS, min_events=least)
    assert few.users == (counts >= least).sum() == 8 - len(few.left_out)
    assert set(few.left_out) == set(counts.index[counts < least])
    named = take_snapshot(
        past.SCHEMA, past.events(), past.PRIORS, users=np.array([past.LARGE + 1, past.LARGE + 3])
    )
    assert named.users == 2
    assert set(named.numbers[0].values[0]) == {past.LARGE + 1, past.LARGE + 3}
    assert set(named.events[0].values[0]) == {past.LARGE + 1, past.LARGE + 3}
    assert len(named.numbers[2].values[0]) == 3  # cities have nothing to do with it
    assert named.nbytes < few.nbytes
    rows, _ = asked(past, few, np.repeat(counts.index.to_numpy(), 3))
    unseen = rows.assign(user=np.where(rows["user"].isin(few.left_out), -1, rows["user"]))
    compare(past, HistoryTables(past.SCHEMA, few), rows, at_moment(past, unseen, few.as_of))


@pytest.fixture(scope="module")
def version(past, past_model, snapshot, tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / "past"
    return export_model(past_model, past.SCHEMA, base, replay=past.make_frame(), snapshot=snapshot)


def test_plain_ids_are_answered_with_the_history_of_the_day(past, past_model, snapshot, version):
    rows, truth = asked(past, snapshot)
    expected = python_scores(past_model, past.SCHEMA, request_arrays(past.SCHEMA, truth))
    given = {n: np.asarray(rows[n]) for n in rows}
    with Scorer(version) as scorer:
        assert sorted(scorer.inputs()) == ["city", "tag", "user", "video"]
        plain = scorer.score({**given, "city": rows["city"].to_numpy(object)})["cvr"]
        sent = scorer.score(request_arrays(past.SCHEMA, truth), signature="serving_with_history")
    np.testing.assert_allclose(plain, expected["cvr"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(sent["cvr"], expected["cvr"], rtol=0, atol=1e-6)
    assert np.ptp(plain) > 1e-3


def test_a_served_row_may_say_its_time(past, past_model, snapshot, version):
    rows, _ = asked(past, snapshot)
    given = {**{n: np.asarray(rows[n]) for n in rows}, "city": rows["city"].to_numpy(object)}
    moments = np.full(len(rows), snapshot.as_of, np.int64)
    with Scorer(version) as scorer:
        assert scorer.inputs("serving_at")["serving_at"] == tf.int64
        plain = scorer.score(given)["cvr"]
        same = scorer.score({**given, "serving_at": moments}, signature="serving_at")["cvr"]
        later = scorer.score(
            {**given, "serving_at": moments + 9 * past.DAY}, signature="serving_at"
        )
    np.testing.assert_array_equal(same, plain)
    assert np.abs(later["cvr"] - plain).max() > 1e-4


def test_the_card_says_of_when_how_large_and_whom(past, version):
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())["snapshot"]
    assert card["as_of"] == "2023-11-20T00:00:00+00:00"  # the midnight after the newest exposure
    assert card["keys"]["user"] == 8
    assert (card["users"], card["users_left_out"]) == (8, 0)
    assert 1000 < card["bytes"] < 20_000


def test_a_key_that_requests_lack_is_refused(past):
    features = tuple(
        f.model_copy(update={"train_only": True, "serving_value": ""}) if f.name == "city" else f
        for f in past.SCHEMA.features
    )
    schema = past.SCHEMA.model_copy(update={"features": features})
    with pytest.raises(ValueError, match=r"city: must be in requests, .* train_only;\nsend"):
        take_snapshot(schema, past.events(), past.PRIORS)


def test_texts_whose_hashes_collide_stay_apart(past, monkeypatch):
    monkeypatch.setattr("idefn_tf.export.history_tables._BUCKETS", 3)  # three texts fill them
    snapshot = take_snapshot(past.SCHEMA, past.events(), past.PRIORS)
    rows, truth = asked(past, snapshot)
    compare(past, HistoryTables(past.SCHEMA, snapshot), rows, truth)


def test_without_history_there_is_nothing_to_take(tiny):
    with pytest.raises(ValueError, match="schema: must have history"):
        take_snapshot(tiny.SCHEMA, None, {})


def test_an_empty_log_is_refused(past):
    empty = past.events().take(np.zeros(len(past.make_log()), bool))
    with pytest.raises(ValueError, match="events: must hold exposures"):
        take_snapshot(past.SCHEMA, empty, past.PRIORS)


def test_the_moment_is_the_next_refresh(past):
    def after(refresh, moment, zone="UTC"):
        schema = past.SCHEMA.model_copy(
            update={
                "history": past.SCHEMA.history.model_copy(update={"refresh": refresh}),
                "labels": past.SCHEMA.labels.model_copy(update={"time_zone": zone}),
            }
        )
        begin = pd.Timestamp(moment, tz=zone)
        found = next_refresh(schema, int(begin.timestamp()))
        return pd.Timestamp(found, unit="s", tz=zone).strftime("%m-%d %H:%M:%S")

    assert after("continuous", "2024-03-30 10:20:30") == "03-30 10:20:30"
    assert after("hourly", "2024-03-30 10:20:30") == "03-30 11:00:00"
    assert after("hourly", "2024-03-30 11:00:00") == "03-30 11:00:00"
    assert after("daily", "2024-03-30 10:20:30") == "03-31 00:00:00"
    # days of 23 and of 25 hours
    assert after("daily", "2024-03-31 01:00:00", "Europe/Berlin") == "04-01 00:00:00"
    assert after("daily", "2024-10-27 23:00:00", "Europe/Berlin") == "10-28 00:00:00"
