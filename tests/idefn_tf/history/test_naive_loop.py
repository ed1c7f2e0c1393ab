"""attach against loops over plain rows, and what the future may never change."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.history import attach
from tests.idefn_tf.history.naive_history import history_of, moment
from tests.idefn_tf.history.shop_history import PRIORS, SCHEMA, schema_of

DAY = 86_400
#: The last Saturday of October 2023 in Berlin: clocks go back the night after.
BEGIN = 1_698_490_800


def table(rows):
    """A DataFrame of plain rows, missing times as nulls."""
    times = {name: [row.get(name) for row in rows] for name in ("at", "clicked_at", "bought_at")}
    frame = pd.DataFrame(
        {name: [row[name] for row in rows] for name in ("user", "item", "c", "v", "price")}
    )
    return frame.assign(**{name: pd.array(v, "Int64") for name, v in times.items()})


HOURS = st.sampled_from([0, 0, 1, 1800, 3599, 3600, 3601, 2 * 3600, 7 * 3600, DAY, 3 * DAY])
ROWS = st.fixed_dictionaries(
    {
        "user": st.sampled_from([7, 7, 8, -1]),
        "item": st.sampled_from(["a", "a", "b", ""]),
        "c": st.integers(0, 1),
        "v": st.integers(0, 1),
        "price": st.sampled_from([0.5, 1.25, -3.0, 1e6, None]),
        "days": st.integers(0, 3),
        "seconds": HOURS,
        "to_click": st.one_of(st.none(), HOURS),
        "to_conversion": st.one_of(st.none(), HOURS),
        "timed": st.sampled_from([True] * 9 + [False]),
    }
)


def timed(row):
    at = BEGIN + row["days"] * DAY + row["seconds"] if row["timed"] else None
    late = {}
    for name, after in (("clicked_at", row["to_click"]), ("bought_at", row["to_conversion"])):
        late[name] = None if at is None or after is None else at + after
    return {"at": at, **late, **{k: row[k] for k in ("user", "item", "c", "v", "price")}}


LOGS = st.lists(ROWS.map(timed), min_size=1, max_size=14)
LABEL_CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "click_time": st.just("clicked_at"),
        "conversion_time": st.just("bought_at"),
        "attribution": st.sampled_from(
            [
                {"window_hours": hours, "from": start}
                for hours in (1, 6)
                for start in ("exposure", "click")
            ]
        ),
        "time_zone": st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "America/New_York"]),
    },
)
HISTORY_CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "refresh": st.sampled_from(["hourly", "daily"]),
        "lag": st.sampled_from(["1h", "1d"]),
        "conversion": st.just("raw"),
        "smoothing": st.sampled_from([0, 2.5]),
    },
)


def assert_equal(found, want):
    assert len(found) == len(want)
    for name in sorted(SCHEMA.generated):
        column = found[name].tolist()
        for place, row in enumerate(want):
            expected = row[name]
            if isinstance(expected, list):
                got = [v.decode() if isinstance(v, bytes) else v for v in column[place]]
                assert got == expected, (name, place)
            else:
                assert column[place] == pytest.approx(
                    np.float32(expected), rel=1e-6, nan_ok=True
                ), (name, place)


@settings(deadline=None, max_examples=150)
@given(LOGS, LABEL_CHOICES, HISTORY_CHOICES)
def test_every_column_equals_a_naive_loop(rows, labels, history):
    schema = schema_of(labels, **history)
    found = attach(schema, table(rows), priors=PRIORS)
    assert_equal(found, history_of(rows, rows, schema, PRIORS))


@settings(deadline=None, max_examples=60)
@given(LOGS, LOGS, LABEL_CHOICES, HISTORY_CHOICES)
def test_rows_that_are_no_events_see_the_event_tables_alone(rows, events, labels, history):
    schema = schema_of(labels, log_rows=False, **history)
    found = attach(schema, table(rows), table(events), priors=PRIORS)
    assert_equal(found, history_of(rows, events, schema, PRIORS))


@settings(deadline=None, max_examples=100)
@given(LOGS, st.data(), LABEL_CHOICES, HISTORY_CHOICES)
def test_the_future_changes_nothing(rows, data, labels, history):
    """Whatever happens from a row's as-of on leaves its features as they are, to the bit."""
    schema = schema_of(labels, **history)
    at = data.draw(st.integers(0, len(rows) - 1))
    now = moment(rows[at], schema)
    altered = [rows[at]]
    for place, row in enumerate(rows):
        if place == at:
            continue
        if row["at"] is not None and row["at"] >= now:  # the whole row lies in the future
            altered += data.draw(st.lists(ROWS.map(timed).filter(later_than(now)), max_size=2))
            continue
        row = dict(row)
        late = row["bought_at"] if schema.labels.conversion_time else None
        if late is not None and late >= now:
            row["v"] = data.draw(st.integers(0, 1))
        altered.append(row)
    before = attach(schema, table([rows[at], *rows[:at], *rows[at + 1 :]]), priors=PRIORS)
    after = attach(schema, table(altered), priors=PRIORS)
    names = sorted(schema.generated)
    pd.testing.assert_frame_equal(before.loc[[0], names], after.loc[[0], names])


def later_than(now):
    return lambda row: row["at"] is not None and row["at"] >= now
