"""What the data card says of values in sequences, against lists that are written out."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idefn_tf.history.sequences import Places
from idefn_tf.schema import BehaviourSequence
from pipelines.preparation.list_counts import count


def counted(items, spans, parts, length):
    places = Places({"item": items}, items, *np.array(spans, np.int64).reshape(-1, 2).T)
    sequence = BehaviourSequence(
        name="seen", key="user", condition="exposed", items=("item",), length=length
    )
    found = count(sequence, places, pa.table({"item": items}), np.array(parts, object))
    return found["seen__item"]


def plain(table):
    return dict(zip(*table.to_pydict().values(), strict=True))


def test_an_event_counts_for_every_row_that_lists_it():
    items = np.array([7, 8, 7, -1])
    # lists of at most two: train sees [7], [7, 8] and [8, 7] (cut from 7, 8, 7), test [7, none], []
    found = counted(
        items, [(0, 1), (0, 2), (0, 3), (2, 4), (3, 3)], ["train"] * 3 + ["test"] * 2, 2
    )
    assert plain(found.parts["train"]) == {7: 3, 8: 2}
    assert plain(found.parts["test"]) == {7: 1}  # the event without an item counts for nothing
    assert found.empty == {"train": 0.0, "test": 0.5}


def test_words_are_counted_as_numbers_are():
    items = np.array(["a", "", "a"], object)
    for kind in (pa.string(), pa.large_string()):
        found = counted(pa.array(items, kind), [(0, 3)], ["train"], 3)
        assert plain(found.parts["train"]) == {"a": 2}


@pytest.mark.parametrize("items", [np.zeros(0, np.int64), np.array([5])])
def test_rows_without_history_count_nothing(items):
    found = counted(items, [(0, 0)], ["train"], 3)
    assert found.parts["train"].num_rows == 0
    assert found.empty == {"train": 1.0}


@given(
    st.lists(st.integers(-1, 4), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=8),
    st.integers(1, 5),
)
def test_it_is_what_lists_written_out_hold(items, ends, length):
    spans = [sorted(min(end, len(items)) for end in span) for span in ends]
    listed = Counter(
        item for first, end in spans for item in items[max(first, end - length) : end] if item >= 0
    )
    found = counted(np.array(items), spans, ["train"] * len(spans), length)
    assert plain(found.parts["train"]) == dict(listed)
