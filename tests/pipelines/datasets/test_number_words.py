"""Numbers of a text buffer by words of eight bytes, against Python's own; entries in order."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.datasets.ali_ccp.entry_order import ranked
from pipelines.datasets.ali_ccp.number_words import Words, aligned, words_of

TEXTS = st.lists(st.text("0123456789.-e+a", max_size=10), min_size=1, max_size=40)


def words(texts):
    block = ",".join(texts).encode() + b","
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord(","))
    starts = np.concatenate(([0], ends[:-1] + 1))
    return Words(aligned(block), starts, ends)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_short_numbers_are_those_of_python_to_the_bit(texts):
    whole, read = words(texts).whole()
    for text, value, ok in zip(texts, whole, read, strict=True):
        assert ok == bool(re.fullmatch("[0-9]{1,8}", text)), text
        assert not ok or value == int(text), text
    real, read = words(texts).real()
    for text, value, ok in zip(texts, real, read, strict=True):
        form = len(text) <= 8 and re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", text)
        assert ok == bool(form), text
        assert not ok or value == float(text), text


@pytest.mark.parametrize("text", ["1.09861", "0.69315", "5", "99999999", ".0000001", "1234.567"])
def test_a_number_is_rounded_once(text):
    (value,), (read,) = words([text]).real()
    assert read
    assert value == float(text)


def test_a_text_is_found_among_known_ones_only_whole():
    known = np.sort(words_of(["101", "109_14", "110_14"]))
    order = {int(word): name for name in ("101", "109_14", "110_14") for word in words_of([name])}
    texts = ["101", "1", "", "109_14", "x109_14", "0000000101", "110_14"]
    found = words(texts).find(known)
    assert [None if i < 0 else order[int(known[i])] for i in found] == [
        "101", None, None, "109_14", None, None, "110_14",
    ]  # fmt: skip


@pytest.mark.parametrize("large", [9, 10**17], ids=["one_key", "lexsort"])
def test_entries_stand_by_line_then_by_falling_value_then_by_id(large):
    line, ids = [0, 0, 0, 2, 2, 2], [5, 3, large, 8, 8, 1]
    values = [0.5, 0.5, 2.0, 1.0, 3.0, 1.0]
    found = ranked(np.array(line), np.array(ids), np.array(values))
    assert [part.tolist() for part in found] == [
        [0, 0, 0, 2, 2, 2], [large, 3, 5, 8, 1, 8], [2.0, 0.5, 0.5, 3.0, 1.0, 1.0],
    ]  # fmt: skip
    assert [len(part) for part in ranked(*(np.zeros(0, kind) for kind in (int, int, float)))] == [
        0
    ] * 3
