"""as_of against clocks that are read one by one: full hours and days of zones that change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.history.as_of import as_of, known_at, span
from idefn_tf.schema import History, Labels

# Kathmandu: +5:45; Lord Howe: clocks change by half an hour; Havana and Asuncion: at midnight
ZONES = (
    "UTC", "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York",
    "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "America/Asuncion",
)  # fmt: skip
# 2023: around the changes of clocks, and anywhere
MOMENTS = st.one_of(
    *(
        st.integers(at - 100_000, at + 100_000)
        for at in (1678604400, 1699164000, 1679792400, 1698541200, 1696087800, 1680361200)
    ),
    st.integers(1_672_531_200, 1_704_067_200),
)


def labels(zone="UTC", unit="s"):
    return Labels(click="c", conversion="v", exposure_time="at", time_zone=zone, time_unit=unit)


def refreshed(refresh):
    return History.model_validate({"refresh": refresh, "aggregates": []})


def boundary(moment, refresh, zone):
    """Walks back, a quarter of an hour at a time, to where a clock strikes or a day begins."""
    place = ZoneInfo(zone)

    def clock(at):
        return datetime.fromtimestamp(at, place)

    at = moment - moment % 900
    if refresh == "hourly":
        while clock(at).minute:
            at -= 900
        return at
    while clock(at - 900).date() == clock(moment).date():
        at -= 900
    return at


@settings(deadline=None, max_examples=150)
@given(st.lists(MOMENTS, min_size=1, max_size=5), st.sampled_from(ZONES))
def test_a_row_sees_what_was_known_when_the_clock_last_struck(moments, zone):
    for refresh in ("hourly", "daily"):
        want = [boundary(moment, refresh, zone) for moment in moments]
        found = as_of(np.array(moments), refreshed(refresh), labels(zone))
        assert found.tolist() == want
        fine = as_of(np.array(moments) * 1000 + 999, refreshed(refresh), labels(zone, "ms"))
        assert fine.tolist() == [at * 1000 for at in want]
    assert as_of(np.array(moments), refreshed("continuous"), labels(zone)).tolist() == moments


def test_the_hour_that_clocks_show_twice_begins_twice():
    # 2023-11-05 in New York: 01:30 at -4 (05:30 UTC) and again at -5 (06:30 UTC)
    first, second = 1699162200, 1699165800
    found = as_of(np.array([first, second]), refreshed("hourly"), labels("America/New_York"))
    assert found.tolist() == [first - 1800, second - 1800]


@pytest.mark.parametrize(
    ("text", "zone", "seconds"),
    [
        ("1970-01-02", "UTC", 86_400),
        ("1970-01-02T08:00", "Asia/Shanghai", 86_400),
        ("1970-01-02T00:00:00+08:00", "UTC", 86_400 - 8 * 3600),
    ],
)
def test_known_at_is_a_moment_of_the_zone(text, zone, seconds):
    past = History.model_validate({"known_at": text, "aggregates": []})
    assert known_at(past, labels(zone)) == seconds
    assert known_at(past, labels(zone, "ms")) == seconds * 1000
    assert known_at(None, labels(zone)) is None


def test_spans_are_in_the_unit():
    assert (span("6h", labels()), span("2d", labels(unit="ms"))) == (21_600, 172_800_000)
    assert span("all", labels()) is None
    assert span(None, labels()) is None
