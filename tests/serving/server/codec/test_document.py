"""The JSON layer against RapidJSON (TensorFlow Serving's parser) and Python's json."""

import json
import math
from typing import Any

import pytest
import rapidjson
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.server import json_text
from serving.server.codec import document
from serving.server.errors import StatusError

DEPTH = 100_000
NUMBERS = rapidjson.NM_NATIVE | rapidjson.NM_NAN


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from 1.0 and from True, -0.0 from 0.0, and takes NaN as equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one.hex() == other.hex() or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def read(body: bytes) -> Any:
    """What our layer makes of a body: the object, or the message of its refusal."""
    try:
        return document.parse(body, DEPTH)
    except StatusError as error:
        return f"{error.message}" if error.http_status == 400 else error


def reference(body: bytes) -> Any:
    """The same by RapidJSON alone; None where its Python binding cannot say."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return None  # TensorFlow Serving does not check the encoding
    if body.startswith(b"\xef\xbb\xbf"):
        return None  # its stream skips a byte order mark
    try:
        return rapidjson.loads(body, number_mode=NUMBERS)
    except RecursionError:
        return None
    except rapidjson.JSONDecodeError as error:
        return error


numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-(2**70), 2**70).map(float),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


def check_valid(value: dict[str, Any]) -> None:
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False, indent=1),
        json.dumps(value, separators=(",", ":")),
    ):
        body = text.encode("utf-8", "surrogatepass")
        assert same(read(body), json.loads(text)), text


def check_damaged(value: dict[str, Any], cut: float, insert: bytes) -> None:
    """A body with something cut off or put in, against RapidJSON."""
    body = json.dumps(value).encode()
    place = int(cut * len(body))
    for damaged in (body[:place], body[:place] + insert + body[place:], body + insert):
        expected, found = reference(damaged), read(damaged)
        if expected is None:
            continue
        if isinstance(expected, rapidjson.JSONDecodeError):
            text = str(expected)
            if "document root must not be followed" in text:
                assert isinstance(found, dict) or "Is not object" in found
                continue
            offset, message = text.removeprefix("Parse error at offset ").split(": ", 1)
            if damaged:
                assert found == f"JSON Parse error: {message} at offset: {offset}", damaged
        elif isinstance(expected, dict):
            assert isinstance(found, dict), damaged
            # doubles may differ in the last place: RapidJSON's quick reading is not exact
            assert json.dumps(found).count(",") == json.dumps(expected).count(",")
        else:
            assert found.endswith("Is not object"), damaged


damage = st.binary(max_size=3) | st.sampled_from(
    [b",", b"]", b"}", b"[", b"{", b'"', b":", b"NaN", b"-Infinity", b"1e400", b"\\", b"\x00", b"-"]
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=4)


@settings(max_examples=80, deadline=None)
@given(objects)
def test_valid_json_is_read_exactly(value: dict[str, Any]) -> None:
    check_valid(value)


@settings(max_examples=80, deadline=None)
@given(objects, st.floats(0, 1), damage)
def test_damaged_json_is_refused_in_rapidjsons_words(
    value: dict[str, Any], cut: float, insert: bytes
) -> None:
    check_damaged(value, cut, insert)


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None)
@given(objects, st.floats(0, 1), damage)
def test_ten_thousand_bodies(value: dict[str, Any], cut: float, insert: bytes) -> None:
    """Six bodies an example."""
    check_valid(value)
    check_damaged(value, cut, insert)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": NaN}', math.nan),
        ('{"a": Infinity}', math.inf),
        ('{"a": -Inf}', -math.inf),
        ('{"a": -0}', 0),
        ('{"a": -0.0}', -0.0),
        ('{"a": 18446744073709551615}', 2**64 - 1),
        ('{"a": 18446744073709551616}', 2.0**64),
        ('{"a": -9223372036854775809}', -(2.0**63)),
        ('{"a": 1e-400}', 0.0),
        ('{"a": 0.1}', 0.1),
        ('\ufeff{"a": 1}', 1),
        ('{"a": 1} {', 1),
        ('{"a": 1}garbage', 1),
    ],
)
def test_what_rapidjson_takes(text: str, expected: Any) -> None:
    assert same(document.parse(text.encode(), DEPTH), {"a": expected})


def test_deep_nesting_is_read_without_recursion() -> None:
    depth = 50_000
    deep = "[" * depth + "1.5" + "]" * depth
    found = document.parse(
        f'{{"a": {deep}, "b": {{"c": [true, null, "x\\u00e9"]}}}}'.encode(), DEPTH
    )
    level, value = 0, found["a"]
    while isinstance(value, list):
        level, value = level + 1, value[0]
    assert (level, value) == (depth, 1.5)
    assert found["b"] == {"c": [True, None, "xé"]}
    with pytest.raises(StatusError, match="nested deeper than 1000 levels"):
        document.parse(f'{{"a": {deep}}}'.encode(), 1000)


@pytest.mark.parametrize(
    "tail", ["]", "", ",]", "1 2]", "]]]", '{"a"}]', '{"a":1,}]', "}", "nul]", ":"]
)
def test_deep_and_broken_is_refused(tail: str) -> None:
    body = ('{"a":' + "[" * 3000 + tail).encode()
    with pytest.raises(StatusError, match=r"JSON Parse error: .* at offset: "):
        document.parse(body, DEPTH)


@settings(max_examples=100, deadline=None)
@given(values)
def test_deep_reader_agrees_with_the_plain_one(value: Any) -> None:
    text = json.dumps({"a": value}, ensure_ascii=False)
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert same(
            document._parse_deep(text, 0, DEPTH), rapidjson.loads(text, number_mode=NUMBERS)
        )


def test_bytes_that_are_not_utf8_pass() -> None:
    """RapidJSON does not check the encoding: strings carry such bytes, elsewhere they are wrong."""
    found = document.parse(b'{"a": ["b\xff", "\xc3\xa9\xe9\\u00e9"], "\xfe": NaN} x', DEPTH)
    assert found["a"][0].encode("utf-8", "surrogateescape") == b"b\xff"
    assert found["a"][1].encode("utf-8", "surrogateescape") == b"\xc3\xa9\xe9\xc3\xa9"
    assert math.isnan(found["\udcfe"])
    with pytest.raises(StatusError, match=r"Invalid value\. at offset: 6"):
        document.parse(b'{"a": \xff}', DEPTH)
    with pytest.raises(
        StatusError, match=r"Missing a comma or '}' after an object member\. at offset: 11"
    ):
        document.parse(b'{"a": "\xff\xfe" 1}', DEPTH)
    deep = document.parse(b'{"a": ' + b"[" * 5000 + b'"\xff"' + b"]" * 5000 + b"}", DEPTH)["a"]
    while isinstance(deep, list):
        deep = deep[0]
    assert deep == "\udcff"
    # what stands in for them while they are read must not be in the body itself
    for taken in ("\U0010ff80".encode(), b"\\uDBFF\\uDF80"):
        with pytest.raises(StatusError, match=r"Invalid encoding in string\. at offset: 8"):
            document.parse(b'{"a": "b\xff' + taken + b'"}', DEPTH)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=8), max_size=4), st.text(max_size=4))
def test_any_bytes_come_through(pieces: list[bytes], plain: str) -> None:
    """Every string of a body, byte by byte, but for what JSON escapes."""
    kept = [bytes(b for b in piece if b >= 32 and b not in b'"\\') for piece in pieces]
    body = b'{"a": [' + b", ".join(b'"' + piece + b'"' for piece in kept) + b"]}"
    found = document.parse(body, DEPTH)["a"]
    assert [value.encode("utf-8", "surrogateescape") for value in found] == kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "a": 2}', {"a": 1}),
        ('{"a" : 1, "a" : 2}', {"a": 1}),
        ('{"a": 1, "a" : 2}', {"a": 1}),
        ('{"a": "b:c", "d": 1}', {"a": "b:c", "d": 1}),
        ('{"a": "b:c", "d": 1, "d" \n: 2}', {"a": "b:c", "d": 1}),
        ('{"inputs": {"x": [1], "y": 0, "x": [2]}}', {"inputs": {"x": [1], "y": 0}}),
        ('{"inputs": [1], "inputs": {"x": [2]}}', {"inputs": [1]}),
        ('{"instances": [{"x": 1}, {"x": 2, "x": 3}]}', {"instances": [{"x": 1}, {"x": 2}]}),
        ('{"a": NaN, "a": 2}', {"a": math.nan}),
        ('{"a": {"b64": "AA", "b64": "BB"}}', {"a": {"b64": "AA"}}),
        ('{"z": {"a": 0.1}, "s": "\\":"}', {"z": {"a": 0.1}, "s": '":'}),
        ('{"a": 1, "\\u0061": 2, "b": "\\":\\":"}', {"a": 1, "b": '":":'}),
    ],
)
def test_of_equal_keys_the_first_counts(text: str, expected: Any) -> None:
    assert same(document.parse(text.encode(), DEPTH), expected)


@settings(max_examples=200, deadline=None)
@given(values)
def test_quoted_values_are_rapidjsons_indented_text(value: Any) -> None:
    """Messages quote a value as RapidJSON's PrettyWriter writes it, cut at 256 bytes."""
    if isinstance(value, float) or any("\ud800" <= c <= "\udfff" for c in json.dumps(value)):
        return
    text = json.dumps(value, ensure_ascii=False)
    if any("\ud800" <= c <= "\udfff" for c in text):
        return
    expected = rapidjson.dumps(value, indent=4, ensure_ascii=False, number_mode=NUMBERS)
    cut = expected.encode()[:256].decode("utf-8", "ignore")
    assert json_text.quote(value) == cut


def test_a_huge_value_is_quoted_in_no_time() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert json_text.quote(deep).startswith("[\n    [\n        [")
    assert len(json_text.quote({"a": "x" * 10_000_000})) == 256
    while isinstance(deep, list):  # taken apart here: freeing it at once would recurse
        deep = deep.pop()


def test_quoted_bytes_that_are_not_utf_8_stay_and_no_character_is_cut() -> None:
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert json_text.quote(odd) == f'"{odd}"'
    assert json_text.quote("x" * 253 + "€€") == '"' + "x" * 253  # 254 bytes; the sign has three
    assert json_text.quote("\udc80" * 300) == '"' + "\udc80" * 252


def test_error_bodies_escape_what_they_quote() -> None:
    message = 'quote " backslash \\ newline \n control \x01 é'
    assert json.loads(json_text.error_body(message)) == {"error": message}


def test_error_bodies_are_utf_8_and_bounded() -> None:
    half = b"caf\xe9 \xc3\xa9 \xe2\x82".decode("utf-8", "surrogateescape")
    assert json_text.error_body(half) == '{\n    "error": "caf\ufffd é \ufffd"\n}'.encode()
    long = json.loads(json_text.error_body("x" * 3_000_000))["error"]
    assert long == "x" * 16_384 + "... (3,000,000 characters)"
    assert json_text.echo("y" * 256) == "y" * 256
    assert json_text.echo("y" * 257) == "y" * 256 + "... (257 characters)"
