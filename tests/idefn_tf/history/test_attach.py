"""attach: corners of the past, the order of the input, and what cannot be read."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import read_table
from idefn_tf.history import attach, event_log
from idefn_tf.history.attach import Rows, columns
from idefn_tf.schema import Schema
from tests.idefn_tf.history.shop_history import (
    EVENTS,
    ITEM,
    LABELS,
    PRIORS,
    SCHEMA,
    USER,
    schema_of,
)


def log(times, **columns):
    rows = len(times)
    filled = {"user": 7, "item": "a", "c": 1, "v": 0, "price": 1.0, **columns}
    return pd.DataFrame({"at": times, **{k: v if isinstance(v, list) else [v] * rows
                                         for k, v in filled.items()}})  # fmt: skip


def test_no_row_and_no_event_give_no_row():
    found = attach(SCHEMA, log([]).astype({"user": "int64", "c": int, "v": int, "price": float}))
    assert len(found) == 0
    assert SCHEMA.generated <= set(found.columns)


def test_a_single_row_sees_nothing():
    found = attach(SCHEMA, log([100]), priors=PRIORS).iloc[0]
    assert found["user__exposure_count__all"] == 0
    assert found["user__click_rate__all"] == np.float32(0.25)
    assert np.isnan(found["user__click_hours_since__all"])
    assert found["clicks__item"] == []
    assert found["clicks__gap"] == []


def test_a_frame_keeps_its_index_and_its_columns():
    """Columns are assigned by index: rows of a filtered frame would get those of others."""
    rows = log([100, 200, 300], user=[7, 8, 7], note=[object()] * 3).astype({"user": "Int64"})
    some = rows[rows["user"] == 7]
    found = attach(SCHEMA, some, priors=PRIORS)
    assert found.index.tolist() == [0, 2]
    assert found["user"].dtype == "Int64"
    assert found["note"].tolist() == some["note"].tolist()
    assert found["user__exposure_count__all"].tolist() == [0, 1]
    for index in ([5, 5], [("a", 1), ("b", 2)]):
        placed = attach(SCHEMA, some.set_axis(pd.Index(index)), priors=PRIORS)
        assert placed.index.tolist() == index
        assert placed["clicks__item"].tolist() == [[], ["a"]]


@pytest.mark.parametrize(
    ("priors", "said"),
    [
        ({}, r"priors\['click'\]: must be a share .* received None"),
        ({"click": 0.3}, r"priors\['conversion'\]: .* received None"),
        ({"click": float("nan"), "conversion": 0.1}, r"priors\['click'\]: .* received nan"),
        ({"click": 0.3, "conversion": 3}, r"priors\['conversion'\]: .* received 3"),
    ],
)
def test_priors_that_are_no_shares_are_refused(priors, said):
    with pytest.raises(ValueError, match=said):
        attach(SCHEMA, log([100]), priors=priors)


def test_events_that_all_lie_in_the_future_are_unseen():
    schema = schema_of(log_rows=False)
    found = attach(schema, log([100, 200]), log([200, 300, 400]), priors=PRIORS)
    assert found["user__exposure_count__all"].tolist() == [0, 0]
    assert found["clicks__item"].tolist() == [[], []]


def test_a_row_without_a_time_sees_nothing_and_is_no_event():
    rows = log([100, 200, 300]).astype({"at": "Int64"})
    rows.loc[1, "at"] = pd.NA
    found = attach(SCHEMA, rows, priors=PRIORS)
    assert found["user__exposure_count__all"].tolist() == [0, 0, 1]
    assert found["clicks__item"].tolist() == [[], [], ["a"]]
    assert found["at"].isna().tolist() == [False, True, False]


def test_an_event_without_an_item_is_left_out_of_sequences_alone():
    found = attach(SCHEMA, log([100, 200, 300], item=["a", "", "b"]), priors=PRIORS)
    assert found["clicks__item"].tolist() == [[], ["a"], ["a"]]
    assert found["user__click_count__all"].tolist() == [0, 1, 2]


def test_more_events_than_the_length_keep_the_newest():
    found = attach(SCHEMA, log([0, 3600, 7200, 10_800, 14_400], item=list("abcde")))
    assert found["clicks__item"].iloc[3] == ["a", "b", "c"]
    assert found["clicks__item"].iloc[4] == ["b", "c", "d"]
    assert found["clicks__gap"].iloc[4] == [1, 1, 1]


def test_an_exact_copy_of_a_row_is_not_its_past():
    found = attach(SCHEMA, log([100, 100, 101]))
    assert found["user__exposure_count__all"].tolist() == [0, 0, 2]


def test_the_order_of_the_input_changes_nothing():
    rng = np.random.default_rng(1)
    times = rng.permutation(40) * 1000
    rows = log(
        times.tolist(),
        user=rng.integers(1, 4, 40).tolist(),
        item=rng.choice(["a", "b"], 40).tolist(),
        c=rng.integers(0, 2, 40).tolist(),
        price=rng.normal(size=40).tolist(),
    )
    schema = schema_of(refresh="hourly")
    found = attach(schema, rows, priors=PRIORS)
    for order in (np.arange(40)[::-1], rng.permutation(40)):
        other = attach(schema, rows.iloc[order].reset_index(drop=True), priors=PRIORS)
        back = other.iloc[np.argsort(order)].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, back)
    parts = [rows[25:], rows[:10], rows[5:30]]  # out of order, overlapping
    past = schema_of(refresh="hourly", log_rows=False)
    of_parts = attach(past, rows, parts, priors=PRIORS)
    pd.testing.assert_frame_equal(found, of_parts)


def test_events_of_overlapping_tables_count_once_and_equal_rows_of_one_table_twice():
    schema = schema_of(log_rows=False)
    twins = log([100, 100, 200])
    found = attach(schema, log([300]), [twins, twins, log([100, 250])])
    assert found["user__exposure_count__all"].tolist() == [4]
    found = attach(schema, log([300]), [log([100]), log([100, 100])])
    assert found["user__exposure_count__all"].tolist() == [2]


def test_labels_shuffled_within_the_future_change_no_feature():
    rng = np.random.default_rng(3)
    rows = log((np.arange(60) * 600).tolist(), c=rng.integers(0, 2, 60).tolist(),
               v=rng.integers(0, 2, 60).tolist())  # fmt: skip
    shuffled = rows.copy()
    shuffled.loc[40:, "v"] = rng.permutation(rows["v"].to_numpy()[40:])
    names = sorted(SCHEMA.generated)
    before, after = (attach(SCHEMA, t, priors=PRIORS)[names] for t in (rows, shuffled))
    pd.testing.assert_frame_equal(before.iloc[:41], after.iloc[:41])
    assert not before.iloc[41:].equals(after.iloc[41:])


def test_a_later_conversion_does_not_take_its_exposure_out_of_the_rates_before():
    """The leak of a denominator: an exposure that counts only if it will never convert."""
    schema = schema_of({"conversion_time": "bought_at"})
    for bought, hits in ((None, 0), (5000, 0), (150, 1)):
        rows = log([100, 200], v=[int(bought is not None), 0]).assign(
            bought_at=pd.array([bought, None], "Int64")
        )
        found = attach(schema, rows, priors=PRIORS)["user__conversion_rate__all"].iloc[1]
        assert found == np.float32((hits + 20 * 0.125) / 21)


STREAM = {
    "aggregates": [{"key": "user", "events": EVENTS, "measures": ["count"]}],
    "known_at": "1970-01-01T01:00:00",
    "log_rows": False,
    "conversion": "raw",
    "burn_in_days": 0,
    "columns": {"click": "watched"},
}


def test_a_stream_without_times_is_seen_from_its_moment_on_in_its_own_order():
    schema = Schema.parse({
        "name": "shop", "features": [USER, ITEM], "labels": LABELS, "history": STREAM,
        "sequences": [{"name": "seen", "key": "user", "condition": "clicked", "items": ["item"],
                       "length": 2}],
    })  # fmt: skip
    stream = pd.DataFrame(
        {"user": [7, 7, 8, 7], "item": list("abcd"), "watched": [1, 1, 1, 1], "v": [0, 1, 0, 0]}
    )
    found = attach(schema, log([3599, 3600, 9000]), stream)
    assert found["user__exposure_count__all"].tolist() == [0, 3, 3]
    assert found["user__conversion_count__all"].tolist() == [0, 1, 1]
    assert found["seen__item"].tolist() == [[], ["b", "d"], ["b", "d"]]


def test_rows_without_times_come_after_the_whole_stream():
    labels = {"click": "c", "conversion": "v"}
    past = {**STREAM, "refresh": "daily"}
    schema = Schema.parse(
        {"name": "shop", "features": [USER, ITEM], "labels": labels, "history": past}
    )
    stream = pd.DataFrame({"user": [7, 7], "item": ["a", "b"], "watched": [1, 0], "v": [0, 1]})
    found = attach(schema, pd.DataFrame({"user": [7, 8], "item": "a", "c": 0, "v": 0}), stream)
    assert found["user__exposure_count__all"].tolist() == [2, 0]
    assert found["user__click_count__all"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("rows", "events", "sentence"),
    [
        (log([100]).drop(columns="at"), None, "rows: must hold the column 'at'"),
        (log([-5]), None, "at: times must be 0 or more s since 1970, received -5 in row 0"),
        (log([-1]), None, "at: times must be 0 or more s since 1970, received -1 in row 0"),
        (log([1]), log([0]).drop(columns="user"), "events: must hold the column 'user'"),
        (log([1]), log([0]).drop(columns="at"), "events: must hold the column 'at'"),
        (log([1]), log([0]).drop(columns="c"), "events: must hold the column 'c'"),
        (log([1]), log([0]).drop(columns="price"), "events: must hold the column 'price'"),
        (log([1], price=["much"]), None, "'price' must be float32, received 'much' in row 0"),
        (log([1]).assign(user__exposure_count__all=1), None, "'user__exposure_count__all'"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_name(rows, events, sentence):
    with pytest.raises(ValueError, match="must") as error:
        attach(SCHEMA, rows, events)
    assert sentence in str(error.value)


def test_events_of_another_schema_are_refused_by_what_they_lack():
    table = read_table(log([100]), SCHEMA)
    events = event_log.from_table(SCHEMA, table)
    less = {name: v for name, v in events.features.items() if name != "item"}
    with pytest.raises(ValueError, match="events: must hold 'item', which history looks at"):
        columns(SCHEMA, replace(events, features=less), Rows.of(SCHEMA, table), PRIORS)


def test_rows_without_events_of_their_own_need_some():
    with pytest.raises(ValueError, match="events: must hold exposures"):
        attach(schema_of(log_rows=False), log([1]))
    with pytest.raises(ValueError, match="must have history or sequences, received neither"):
        attach(Schema.parse({"name": "s", "features": [USER], "labels": LABELS}), log([1]))


def test_prepared_rows_call_their_time_by_another_name():
    whole = log([100, 200, 300, 400], c=[1, 0, 1, 1])
    found = attach(SCHEMA, whole, priors=PRIORS)
    rows = whole.drop(columns=["c", "v"]).rename(columns={"at": "exposure_time"})
    again = attach(SCHEMA, rows, whole, priors=PRIORS)
    names = sorted(SCHEMA.generated)
    pd.testing.assert_frame_equal(again[names], found[names])
