"""Arrivals of four rows, by hand: an hour is the unit, a day has 24 of them."""

import numpy as np
import pytest

from idefn_tf.models import feedback
from pipelines.streaming.arrivals import ALWAYS, Rule, Times, arrivals, as_known

#: Unclicked at 5; clicked at 10 and never converted; converted 3 hours, and 30 hours later.
SHOWN, CLICK, CLICKED = [5, 9, 9, 20], [0, 1, 1, 1], [0, 10, 10, 20]
FINAL, CONVERTED = [0, 0, 1, 1], [0, 0, 13, 50]


def times(taken=(ALWAYS,) * 4, told=(ALWAYS,) * 4):
    whole, flag = lambda v: np.array(v, np.int64), lambda v: np.array(v, bool)
    return Times(
        24, whole(SHOWN), flag(CLICK), whole(CLICKED), flag(FINAL), whole(CONVERTED),
        whole(taken), whole(told),
    )  # fmt: skip


def listed(found):
    """(at, row, kind, conversion, hours elapsed, hours of delay) of every arrival."""
    hours = [np.round(v.astype(float) * 24, 3).tolist() for v in (found.elapsed, found.delay)]
    columns = (found.at, found.row, found.kind, found.conversion.astype(int))
    return list(zip(*(c.tolist() for c in columns), *hours, strict=True))


def rule(name, **options):
    return Rule.of(feedback.FEEDBACKS[name](**options), name)


def test_a_click_comes_at_once_and_again_when_it_converts():
    assert listed(arrivals(times(), rule("fnw"))) == [
        (5, 0, 0, 0, 0, 0),
        (10, 1, 0, 0, 0, 0),
        (10, 2, 0, 0, 0, 0),
        (13, 2, 1, 1, 3, 3),
        (20, 3, 0, 0, 0, 0),
        (50, 3, 1, 1, 30, 30),
    ]


def test_a_wait_takes_what_has_come_by_then():
    """Six hours: the conversion after three is an early positive, that after thirty is late."""
    assert listed(arrivals(times(), rule("es_dfm", wait=0.25, window=2))) == [
        (5, 0, 0, 0, 0, 0),
        (16, 1, 0, 0, 6, 0),
        (16, 2, 0, 1, 6, 3),
        (26, 3, 0, 0, 6, 0),
        (50, 3, 1, 1, 30, 30),
    ]


def test_a_second_look_is_for_every_click_without_a_late_row():
    found = listed(arrivals(times(), rule("defer", wait=0.25, window=2)))
    assert [row for row in found if row[2] == 2] == [(58, 1, 2, 0, 48, 0), (58, 2, 2, 1, 48, 3)]


def test_the_oracle_reads_first_rows_alone():
    assert [row[:3] for row in listed(arrivals(times(), rule("oracle")))] == [
        (5, 0, 0), (10, 1, 0), (10, 2, 0), (20, 3, 0),
    ]  # fmt: skip


def test_a_late_file_counts_in_the_hour_of_its_arrival_and_changes_no_earlier_one():
    """Row 2's conversion is told at 40; row 3 lands at 60, its conversion with it."""
    taken, told = (ALWAYS, ALWAYS, ALWAYS, 60), (ALWAYS, ALWAYS, 40, 60)
    found = arrivals(times(taken, told), rule("es_dfm", wait=0.25, window=2))
    assert listed(found) == [
        (5, 0, 0, 0, 0, 0),
        (16, 1, 0, 0, 6, 0),
        (16, 2, 0, 0, 6, 0),
        (40, 2, 1, 1, 6, 3),  # elapsed covers the wait
        (60, 3, 0, 0, 6, 0),
        (60, 3, 1, 1, 30, 30),
    ]
    assert found.before(40) == 3
    told_after = arrivals(times(told=(ALWAYS, ALWAYS, 70, ALWAYS)), rule("dfm", window=2))
    assert [row[:4] for row in listed(told_after) if row[1] == 2] == [
        (10, 2, 0, 0), (58, 2, 2, 0), (70, 2, 1, 1),
    ]  # fmt: skip


def test_rows_as_known_at_a_moment():
    assert listed(as_known(times(), rule("fnw"), 18)) == [
        (5, 0, 0, 0, 0, 0),
        (10, 1, 0, 0, 8, 0),
        (10, 2, 0, 1, 8, 3),
    ]
    young = listed(as_known(times(), rule("fnw"), 30))[3]
    assert young == (20, 3, 0, 0, 10, 0)  # it converts at 50
    waiting = as_known(times(), rule("es_dfm", wait=0.25, window=2), 16)
    assert [row[1] for row in listed(waiting)] == [0]  # the clicks come at 16, in the stream


def test_every_arrival_is_before_a_moment_or_after_it():
    """What was known and what arrives from then on are all rows, each once."""
    for name in ("fnw", "es_dfm", "oracle"):
        wanted = rule(name, **({} if name != "es_dfm" else {"wait": 0.25, "window": 2}))
        every = arrivals(times(), wanted)
        for moment in range(0, 60):
            rest = every.part(every.before(moment), len(every))
            firsts = rest.row[rest.kind == 0].tolist()
            assert sorted(firsts + as_known(times(), wanted, moment).row.tolist()) == [0, 1, 2, 3]


def test_likelihoods_without_streams_are_refused():
    with pytest.raises(ValueError, match="feedback: must be one that reads streams, received 'w"):
        rule("weigh", window=2)
