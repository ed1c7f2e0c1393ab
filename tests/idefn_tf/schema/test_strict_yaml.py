"""YAML as a careful reader takes it: numbers as written, keys once, errors with file and line."""

import datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from idefn_tf.schema import strict_yaml


def value_of(text):
    return strict_yaml.parse(f"a: {text}", "made").value["a"]


@pytest.mark.parametrize("text", ["010", "-010", "00", "1:30", "12:30:45", "1:30.5"])
def test_what_yaml_1_1_takes_for_octal_or_base_60_stays_a_text(text):
    assert value_of(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("-3", -3), ("+5", 5), ("1_000", 1000), ("0x1F", 31), ("0b11", 3)],
)
def test_whole_numbers_are_read_as_python_writes_them(text, expected):
    assert value_of(text) == expected
    assert type(value_of(text)) is int


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e-3", -0.001),
        ("1e6", 1e6),
        (".inf", float("inf")),
    ],
)
def test_fractions_are_read_as_python_writes_them(text, expected):
    assert value_of(text) == expected
    assert type(value_of(text)) is float


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.from_regex(r"[-+0-9.:_exb]{1,8}")))
def test_what_is_written_is_read_back_here_and_by_any_other_yaml(value):
    if isinstance(value, str) and "\n" in value:
        value = value.strip()
    text = strict_yaml.dump({"a": value})
    assert strict_yaml.parse(text).value == {"a": value}
    if not isinstance(value, float):  # PyYAML itself takes 1e+16 for a text
        assert yaml.safe_load(text) == {"a": value}


@pytest.mark.parametrize("text", ["2024-13-45", "2024-01-02 25:00:00", "!!timestamp x", "!!int x"])
def test_a_value_that_its_kind_cannot_hold_is_told_with_its_line(text):
    with pytest.raises(ValueError, match=r"^made: is not valid YAML; '.*' is no") as error:
        strict_yaml.parse(f"b: 1\na: {text}\n", "made")
    assert "line 2, column 4" in str(error.value)


def test_a_date_is_a_date():
    assert value_of("2024-01-02") == datetime.date(2024, 1, 2)


def test_two_ways_of_writing_one_key_are_one_key():
    with pytest.raises(
        ValueError, match="made:2: the key '0x1' is given twice \\(first on line 1\\)"
    ):
        strict_yaml.parse("1: a\n0x1: b\n", "made")
    with pytest.raises(ValueError, match="made:2: the key 'on' is given twice"):
        strict_yaml.parse("yes: a\non: b\n", "made")


def test_keys_of_equal_name_in_different_places_are_two_keys():
    parsed = strict_yaml.parse("a: {x: 1}\nb: {x: 2}\n")
    assert parsed.value == {"a": {"x": 1}, "b": {"x": 2}}
    assert parsed.lines["b", "x"] == 2


def test_merged_mappings_are_read():
    assert strict_yaml.parse("a: &x {u: 1}\nb:\n  <<: *x\n  v: 2\n").value["b"] == {"u": 1, "v": 2}


def test_a_file_in_another_encoding_is_told_with_its_name_and_cure(tmp_path):
    path = tmp_path / "made.yaml"
    path.write_bytes("name: caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ValueError) as caught:
        strict_yaml.read(path)
    assert str(caught.value) == (
        f"path: {path} must be text in UTF-8; byte 9 is not; save the file as UTF-8"
    )
