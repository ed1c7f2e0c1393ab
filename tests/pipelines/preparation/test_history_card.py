"""The card's numbers of history, counted by hand on a log of a few rows."""

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import read_table
from idefn_tf.history import event_log, sequences
from idefn_tf.history.attach import Rows
from idefn_tf.schema import Schema
from pipelines.preparation.history_card import describe

HOUR = 3600
USER = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
ITEM = {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"}
LABELS = {"click": "c", "conversion": "v", "exposure_time": "at", "time_unit": "s"}
AGGREGATE = {"key": "user", "events": ["conversion"], "measures": ["rate"]}
#: Hours of the rows of user 1, and one row each of user 2, of no user, and of no time.
LOG = pd.DataFrame(
    {
        "user": [1, 1, 1, 1, 2, -1, 1],
        "item": [1, 2, 3, 4, 5, 6, 7],
        "c": [1, 1, 0, 1, 1, 1, 1],
        "v": 0,
        "at": pd.array([0, HOUR, 2 * HOUR, 4 * HOUR, HOUR, HOUR, None], "Int64"),
    }
)
PARTS = np.array(["train", "train", "train", "test", "test", "test", "test"], object)


def card_of(labels=(), **history):
    schema = Schema.parse(
        {
            "name": "shop",
            "features": [USER, ITEM],
            "labels": {**LABELS, **dict(labels)},
            "history": {"aggregates": [AGGREGATE], **history},
            "sequences": [
                {
                    "name": "clicks",
                    "key": "user",
                    "condition": "clicked",
                    "items": ["item"],
                    "length": 1,
                }
            ],
        }
    )
    table = read_table(LOG.assign(bought_at=LOG["at"]), schema)
    events = event_log.from_table(schema, table)
    rows = Rows.of(schema, table)
    places = {
        s.name: sequences.places(s, events, rows.keys, rows.moments) for s in schema.sequences
    }
    return describe(schema, events, rows, PARTS, places)


def test_how_much_history_the_rows_see_is_counted_by_part():
    card = card_of()
    assert (card["events"], card["events_without_time"]) == (6, 1)
    assert (card["conversion"], card["refresh"]) == ("after_click", "continuous")
    assert "notes" not in card
    user = card["keys"]["user"]["parts"]
    # train: 0, 1, 2 earlier exposures; test: 3, then none three times
    assert user["train"]["without_history"] == pytest.approx(1 / 3)
    assert user["train"]["events_per_row"][1] == 1.0
    assert user["test"]["without_history"] == 0.75
    assert card["keys"]["user"]["hidden_by_lag_and_refresh"] == 0.0
    clicks = card["sequences"]["clicks"]
    assert clicks["events"] == 4  # of the five with a time, one has no user
    assert clicks["longer_than_length"] == pytest.approx(2 / 7)  # rows 3 and 4 of user 1


def test_what_lag_and_refresh_hide_and_what_is_still_open_are_shares():
    # pairs of an exposure and a later row of user 1: 6, of which 2 are one hour apart
    assert card_of(lag="1h")["keys"]["user"]["hidden_by_lag_and_refresh"] == pytest.approx(2 / 6)
    assert card_of(refresh="daily")["keys"]["user"]["hidden_by_lag_and_refresh"] == 1.0
    window = {"attribution": {"window_hours": 2, "from": "exposure"}}
    # windows that had closed: those of the exposures more than two hours before: 0 and 1 at 4
    assert card_of(window)["keys"]["user"]["open_conversions"] == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"negative_keep_rate": 0.25}, "thinned log (labels.negative_keep_rate 0.25)"),
        ({"conversion_time": "bought_at"}, "without labels.attribution"),
    ],
)
def test_what_numbers_do_not_say_stands_in_a_note(labels, words):
    (note,) = card_of(labels)["notes"]
    assert words in note


def test_a_stream_without_times_says_since_when_it_is_known():
    card = card_of(known_at="1970-01-01T03:00:00")
    assert card["known_at"] == "1970-01-01T03:00:00"
    assert "counts are cut" in card["notes"][0]
