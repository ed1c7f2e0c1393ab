"""Types by values, leaks by separation, sides by constancy."""

import numpy as np
import pyarrow as pa
import pytest

from pipelines.schema_inference.column_sides import constancy
from pipelines.schema_inference.feature_choice import choose
from pipelines.schema_inference.leaks import find_leak, separation
from pipelines.schema_inference.profile import profile


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2", None, " 3 "], "integer"),
        (["1.5", "2", "nan"], "float"),
        (["4.0", "5.0", ""], "integer"),
        (["007", "011"], "text"),
        (["0.5", "0"], "float"),
        (["True", "false"], "boolean"),
        (["2024-05-01", "2024-05-02"], "time"),
        (["2024-05-01 10:00:00", "2024-05-02T11:00:00"], "time"),
        (["2024-05-01T09:03:47+09:00", "2024-05-01T10:00:00.25Z", None], "time"),
        (["31.12.2024 8:00", "2024-05-01 10:00:00 +0900"], "time"),
        (["2024-05-01 10:00:00 PM", "2024-05-01 10:00:00"], "text"),
        (["1_0", "2"], "text"),
        (["12345678901234567890", "1"], "text"),
        ([None, ""], "text"),
        ([[1, 2], [3]], "list"),
        ([1.0, None, 2.0], "integer"),
        ([True, None], "boolean"),
    ],
)
def test_types_are_guessed_from_values(values, expected):
    assert profile("x", pa.array(values)).type == expected


def test_a_time_with_an_offset_is_a_moment_of_utc():
    found = profile("x", pa.array(["2024-05-01T09:03:47+09:00", "2024-05-01T00:03:47.5Z"]))
    assert found.values.cast(pa.int64()).to_pylist() == [1714521827000000, 1714521827500000]
    assert found.zoned
    assert not profile("x", pa.array(["2024-05-01T09:03:47+09:00", "2024-05-01"])).zoned
    assert profile("x", pa.array([0], pa.timestamp("ns", "Asia/Tokyo"))).zoned


def test_wide_whole_numbers_keep_their_digits():
    wide = 2**60 + 1
    found = profile("x", pa.array([str(wide), "5"]))
    assert found.values.to_pylist() == [wide, 5]


def test_a_range_is_no_list():
    column = profile("x", pa.array(["(10,50]", "(50,100]", "[0,10]"] * 200))
    settings = choose(column, "user").settings
    assert "separator" not in settings


def test_a_whole_number_that_identifies_its_side_is_no_quantity():
    column = profile("member", pa.array(np.arange(5000) * 7919 % 100_003))
    assert choose(column, "user").settings["kind"] == "numeric"
    assert choose(column, "user", key=True).settings | {"headroom": 0} == {
        "dtype": "int64",
        "kind": "vocabulary",
        "min_count": 2,
        "headroom": 0,
    }


@pytest.mark.parametrize("name", ["registered_ts", "first_seen_epoch", "created_at"])
@pytest.mark.parametrize("unit", [1, 1000])
def test_numbers_of_an_epoch_are_points_in_time(name, unit):
    seconds = (1_714_000_000 + np.arange(300) * 86_400) * unit
    assert choose(profile(name, pa.array(seconds)), "user").settings is None
    assert choose(profile("price_paid", pa.array(seconds)), "user").settings["kind"] == "numeric"


@pytest.mark.parametrize("text", ["{},{:02d} EUR", "EUR {}.{:02d}", "${}.{:02d}", "{},{:02d}€"])
def test_amounts_with_a_unit_are_no_lists(text):
    values = [text.format(i % 20, i % 7) for i in range(400)]
    choice = choose(profile("price", pa.array(values)), "item")
    assert choice.settings is None
    assert "amounts with a unit" in choice.why


def test_lists_of_numbers_and_names_are_lists_still():
    for values in (["1,2", "2,1", "1"], ["a, b", "b, a", "b"], ["s 1,s 2", "s 2,s 1", "s 1"]):
        assert choose(profile("x", pa.array(values * 100)), "item").settings["separator"] == ","


def test_lists_of_a_parquet_file_are_lists():
    column = profile("x", pa.array([[1, 2], [3], [], None] * 10))
    assert choose(column, "item").settings == {
        "dtype": "int64", "kind": "vocabulary", "max_length": 2,
    }  # fmt: skip


def test_separation_of_a_rare_category_is_not_fooled_by_rows_of_its_own():
    rng = np.random.default_rng(0)
    column = profile("x", pa.array([f"v{i}" for i in range(2000)]))
    label = (rng.random(2000) < 0.3).astype(float)
    assert separation(column, np.arange(2000), label) < 0.6
    copy = profile("y", pa.array(np.where(label == 1, "yes", "no")))
    assert separation(copy, np.arange(2000), label) > 0.999


def test_a_column_filled_after_conversion_only_is_found_among_clicks():
    rng = np.random.default_rng(0)
    click = (rng.random(4000) < 0.5).astype(float)
    conversion = click * (rng.random(4000) < 0.3)
    values = [1.5 if c else (0.7 if k and i % 900 == 0 else None)
              for i, (k, c) in enumerate(zip(click, conversion, strict=True))]  # fmt: skip
    found = find_leak(profile("x", pa.array(values)), click, conversion)
    assert found.certain
    assert find_leak(profile("x", pa.array(rng.random(4000))), click, conversion) is None


def test_constancy_by_hand():
    key = profile("k", pa.array(np.repeat(np.arange(100), 2)))
    same = profile("a", pa.array(np.repeat(np.arange(100) % 7, 2)))
    half = profile(
        "b", pa.array(np.where(np.arange(200) < 100, np.arange(200) // 2, np.arange(200)))
    )
    assert constancy(key, same) == 1.0
    assert constancy(key, half) == 0.5


def test_numbers_with_a_decimal_comma_are_no_lists_of_two():
    prices = [f"{i // 100},{i % 100:02d}" for i in range(300)] + ["NA", None]
    assert choose(profile("price", pa.array(prices)), "item").settings is None
    pairs = [f"{i % 4},{i % 5},{i % 7}" for i in range(300)]
    assert choose(profile("pairs", pa.array(pairs)), "item").settings["max_length"] == 3


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
@pytest.mark.parametrize("unit", [1, 1000])
def test_fractions_of_a_second_are_no_quantity(kind, unit):
    seconds = [(1_714_557_600.5 + 100 * i) * unit for i in range(200)]
    column = profile("event_ts", pa.array(seconds, pa.float64()).cast(kind))
    assert "a point in time" in choose(column, "context").why
    assert choose(column, "context").settings is None
    assert choose(profile("income", column.values), "user").settings["kind"] == "numeric"


def test_bytes_of_text_are_text():
    found = profile("b", pa.array([b"007", b"12", None]))
    assert (found.type, found.values.to_pylist()) == ("text", ["007", "12", None])
    assert profile("b", pa.array([b"\xff"])).type == "other"
