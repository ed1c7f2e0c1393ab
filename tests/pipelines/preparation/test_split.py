"""Splits by date: written ones, automatic ones, and the ones that cannot be."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.schema import Schema
from pipelines.preparation.split import Split, from_number, last_days, number, parse
from pipelines.prepare import main, prepare

ROOT = Path(__file__).parents[3]
MADE = ROOT / "tests" / "data" / "kuairand_made"
SCHEMA = Schema.load(ROOT / "schemas" / "kuairand_pure.yaml")
SMALL = SCHEMA.model_copy(update={"features": (SCHEMA.feature("user_id"),)})


def test_a_written_split_is_read():
    split = parse("train=2022-04-25..2022-05-02, validation=2022-05-03,test=2022-05-05..2022-05-06")
    assert split.spans == {
        "train": (date(2022, 4, 25), date(2022, 5, 2)),
        "validation": (date(2022, 5, 3), date(2022, 5, 3)),
        "test": (date(2022, 5, 5), date(2022, 5, 6)),
    }
    assert parse("auto") is None


@given(st.lists(st.integers(0, 4000), min_size=6, max_size=6, unique=True))
@settings(max_examples=50, deadline=None)
def test_what_is_described_is_read_back(offsets):
    days = [date(2020, 1, 1) + timedelta(days=n) for n in sorted(offsets)]
    parts = ("train", "validation", "test")
    spans = {part: (days[2 * i], days[2 * i + 1]) for i, part in enumerate(parts)}
    text = ",".join(f"{part}={span}" for part, span in Split(spans).describe().items())
    assert parse(text).spans == spans
    assert all(from_number(number(day)) == day for day in days)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("random", "must be auto or train="),
        ("train=2022-04-25..2022-05-02", "must also give validation and test"),
        ("train=2022-04-25,train=2022-04-26,test=2022-04-27", "received 'train=2022-04-26'"),
        ("train=2022-04-25,valid=2022-04-26,test=2022-04-27", "received 'valid=2022-04-26'"),
        ("train=2022-04-31,validation=2022-05-01,test=2022-05-02", "a day that does not exist"),
        ("train=2022-04-28..2022-04-25,validation=2022-04-29,test=2022-04-30", "ends before"),
        ("train=2022-04-25..2022-04-28,validation=2022-04-28,test=2022-04-30", "must begin after"),
        ("train=2022-04-29,validation=2022-04-28,test=2022-04-30", "validation must begin after"),
    ],
)
def test_a_split_that_cannot_be_is_refused(text, message):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--split: ")


def test_the_last_days_are_those_that_hold_rows():
    split = last_days([20220225, 20220226, 20220228, 20220301, 20220303, 20220310])
    assert split.describe() == {
        "train": "2022-02-25..2022-02-26",
        "validation": "2022-02-28..2022-03-01",
        "test": "2022-03-03..2022-03-10",
    }


@pytest.mark.parametrize("count", [0, 1, 4])
def test_too_few_days_are_a_clear_error(count):
    with pytest.raises(ValueError, match=f"needs at least 5 days, received {count}"):
        last_days([20220425 + i for i in range(count)])


def test_a_short_log_ends_the_command_with_the_cure(tmp_path, capsys):
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = (MADE / "log_standard_4_25_to_5_06_pure.csv").read_text().splitlines()
    short = [lines[0], *(line for line in lines if line.split(",")[2] < "20220428")]
    (raw / "log_standard_a.csv").write_text("\n".join(short) + "\n")
    SMALL.save(tmp_path / "small.yaml")
    arguments = ["kuairand-pure", "--raw", str(raw), "--out", str(tmp_path / "out")]
    status = main([*arguments, "--schema", str(tmp_path / "small.yaml")])
    said = capsys.readouterr().err
    assert status == 2
    assert "auto needs at least 5 days, received 3 (2022-04-25..2022-04-27)" in said
    assert "--split train=FIRST..LAST" in said
    assert not (tmp_path / "out").exists()


def test_rows_outside_the_days_are_left_out_and_counted(tmp_path):
    split = parse("train=2022-04-25,validation=2022-04-27,test=2022-05-06")
    out = prepare("kuairand_pure", MADE, tmp_path / "out", schema=SMALL, split=split)
    assert [part["rows"] for part in out.card["splits"].values()] == [50, 50, 50]
    assert out.card["rows_outside_split"] == 450
    assert out.card["days"]["train"] == "2022-04-25..2022-04-25"


def test_a_part_without_rows_is_a_clear_error(tmp_path):
    split = parse("train=2022-04-25,validation=2022-04-27,test=2023-05-06")
    with pytest.raises(ValueError, match=r"test would hold no exposure.*2022-04-25\.\.2022-05-06"):
        prepare("kuairand_pure", MADE, tmp_path / "out", schema=SMALL, split=split)
    assert not list(tmp_path.iterdir())
