"""Moments: numbers, days and times of a zone; what is finer than the unit is cut off."""

import pytest

from idefn_tf.history.as_of import known_at
from idefn_tf.history.kept_history import read_moment as named_moment
from idefn_tf.schema import History, Labels
from idefn_tf.schema.moments import per_second, read_moment


@pytest.mark.parametrize(
    ("text", "unit", "zone", "value"),
    [
        ("17", "s", "UTC", 17),
        ("1970-01-02", "s", "UTC", 86_400),
        ("1970-01-01T08:00", "ms", "Asia/Shanghai", 0),
        ("1970-01-01T01:00:00+01:00", "ms", "Asia/Shanghai", 0),
        ("1970-01-01T00:00:10.6", "s", "UTC", 10),
        ("1970-01-01T00:00:10.600900", "ms", "UTC", 10_600),
    ],
)
def test_a_moment_in_whole_units(text, unit, zone, value):
    assert read_moment(text, unit, zone) == value


def test_what_is_no_moment_is_left_to_the_caller_to_name():
    with pytest.raises(ValueError, match="Invalid isoformat"):
        read_moment("soon", "ms")
    labels = Labels(click="c", conversion="v", exposure_time="at", time_unit="s")
    with pytest.raises(ValueError, match=r"at: must be a moment such as .*received 'soon'"):
        named_moment("at", "soon", labels)


def test_every_reader_cuts_alike():
    labels = Labels(click="c", conversion="v", exposure_time="at", time_unit="s")
    assert per_second("ms") == 1000 * per_second("s")
    text = "1970-01-01T00:00:10.6"
    assert named_moment("at", text, labels) == 10
    assert known_at(History(known_at=text), labels) == 10
    assert known_at(History(known_at="19700102"), labels) == 86_400  # a day, not a number
