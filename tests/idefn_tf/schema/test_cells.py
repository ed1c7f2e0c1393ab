"""What a cell means, said by hand; times are in tests/pipelines/preparation/test_times.py."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from idefn_tf.schema import Schema, cells, strict_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4), ("4.0", 4), ("4.", 4), ("4e0", 4), ("-0", 0), (" +7\t", 7), ("01234", 1234),
        ("9007199254740993", 2**53 + 1), ("9007199254740993.0", 2**53 + 1), ("4.5", 4.5),
        (".5", 0.5), ("1e-3", 0.001), ("1.5E1", 15), ("1e20", 1e20), ("", None), ("1_0", None),
        ("0x10", None), ("1d", None), ("1.5f", None), ("7L", None), ("inf", None), ("1e400", None),
        ("nan", None), ("1 2", None), (".", None), ("e5", None), ("1,5", None), ("٣", None),
    ],
)  # fmt: skip
def test_numbers(text: str, value: Any) -> None:
    found = cells.read_number(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.234,5", 1234.5), ("0,25", 0.25), ("12,0", 12), ("1.5", 1.5), ("1,2,3", None)],
)
def test_decimal_commas(text: str, value: Any) -> None:
    assert cells.read_number(text, comma=True) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("TRUE", 1), ("t", 1), ("Yes", 1), ("y", 1), ("false", 0), ("F", 0), ("No", 0), ("n", 0),
        ("1.0", 1), ("4.5", None), ("on", None), ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None), ("-9223372036854775808", -(2**63)), ("1e20", None),
    ],
)  # fmt: skip
def test_whole_numbers(text: str, value: int | None) -> None:
    assert cells.read_whole(text) == value


def test_missing_words_depend_on_the_dtype() -> None:
    for word in ("NA", "N/A", "NULL", "null", "None", "nan", " NaN "):
        assert cells.is_missing(word, "int64")
        assert cells.is_missing(word, "float32")
        assert not cells.is_missing(word, "string")  # Namibia
        assert cells.is_missing(word, "string", words=(word.strip(),))
    for dtype in ("int64", "float32", "string"):
        assert cells.is_missing(" \t", dtype)
        assert cells.is_missing("-", dtype, words=("-",))
        assert not cells.is_missing("na", dtype)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("01234", "01234"), (" a ", " a "), (75001, "75001"), (75001.0, "75001"), (True, "true"),
        (False, "false"), (Decimal("3.00"), "3"), (Decimal("1e3"), "1000"),
        (b"caf\xc3\xa9", "café"),
        (UUID("00112233-4455-6677-8899-AABBCCDDEEFF"), "00112233-4455-6677-8899-aabbccddeeff"),
    ],
)  # fmt: skip
def test_the_text_of_typed_values(value: Any, text: str) -> None:
    assert cells.text_of(value) == text


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1.5, "a fraction"), (Decimal("1.5"), "a fraction"), (float("inf"), "a fraction"),
        (2.0**60, "beyond 2..53"), (b"\xff", "not UTF-8"), ([1], "a list"), ({"a": 1}, "a dict"),
    ],
)  # fmt: skip
def test_values_without_a_text_are_refused(value: Any, what: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){what}.*; write it as text"):
        cells.text_of(value)


def test_long_values_are_cut() -> None:
    assert len(cells.shown("x" * 3_000_000)) == 80
    assert cells.shown("ab") == "'ab'"


def test_missing_words_of_a_schema() -> None:
    user = {"name": "user", "dtype": "string", "side": "user", "kind": "hash", "num_buckets": 9}
    plain = {"name": "shop", "labels": {"click": "a", "conversion": "b"}, "features": [user]}
    with_words = Schema.parse({**plain, "missing_words": ["NA", "NULL"]})
    assert with_words.missing_words == ("NA", "NULL")
    assert Schema.parse(plain).missing_words == ()
    assert Schema.parse({**plain, "missing_words": []}).hash == Schema.parse(plain).hash
    assert with_words.hash != Schema.parse(plain).hash
    with pytest.raises(ValueError, match=r'missing_words: must hold words.* "NULL"$'):
        Schema.parse({**plain, "missing_words": strict_yaml.parse("[NA, NULL]").value})
    with pytest.raises(ValueError, match=r"missing_words.*without blanks"):
        Schema.parse({**plain, "missing_words": ["NA "]})
