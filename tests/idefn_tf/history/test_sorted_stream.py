"""SortedStream and codes against loops, with numbers that need ranks and numbers that do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.history.as_of import NEVER
from idefn_tf.history.sorted_stream import NO_KEY, SortedStream, codes, is_missing

# 10**18 and a few keys: key and time together would not fit into an int64
TIMES = st.one_of(st.integers(0, 9), st.sampled_from([NEVER, 10**18, 10**18 + 1]))
EVENTS = st.lists(st.tuples(st.integers(-1, 8), TIMES), max_size=20)


@settings(deadline=None, max_examples=100)
@given(EVENTS, st.lists(st.tuples(st.integers(0, 9), TIMES), min_size=1, max_size=8))
def test_places_are_those_of_a_loop(events, rows):
    keys, times = (np.array([e[i] for e in events], np.int64) for i in (0, 1))
    stream = SortedStream.of(keys, times)
    kept = [
        (key, at, place)
        for place, (key, at) in enumerate(events)
        if key != NO_KEY and at != NEVER
    ]  # fmt: skip
    assert stream.order.tolist() == [place for _, _, place in sorted(kept)]
    assert stream.times.tolist() == [at for _, at, _ in sorted(kept)]
    asked, moments = (np.array([r[i] for r in rows], np.int64) for i in (0, 1))
    start, end = stream.start(asked), stream.before(asked, moments)
    for place, (key, now) in enumerate(rows):
        assert start[place] == sum(k < key for k, _, _ in kept)
        assert end[place] == sum(k < key or (k == key and at < now) for k, at, _ in kept)


def test_keys_of_rows_and_events_are_numbered_alike():
    users = np.array([5, 9, 5, -1]), np.array([9, 5, 7])
    text = np.array([b"a", b"b", b"a", b"a"], object), np.array([b"b", b"", b"c"], object)
    of_events, of_rows = codes([users[0]], [users[1]])
    assert of_events[0] == of_events[2] == of_rows[1]
    assert of_events[1] == of_rows[0]
    assert of_events[3] == NO_KEY
    assert len({of_events[0], of_events[1], of_rows[2]}) == 3
    pairs, asked = codes([users[0], text[0]], [users[1], text[1]])
    assert pairs[0] == pairs[2]
    assert pairs[1] == asked[0]
    assert (pairs[3], asked[1]) == (NO_KEY, NO_KEY)


@pytest.mark.parametrize("values", [np.array([-1, 0]), np.array([b"", b"-1"], object)])
def test_a_missing_key_is_minus_one_or_no_text(values):
    assert is_missing(values).tolist() == [True, False]
