"""The attribution window's two spellings, and the exposure's probability."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from idefn_tf.schema import Schema

TEXT = """name: made
labels:
  click: is_click
  conversion: bought
  exposure_time: shown_at
  {line}
features:
  - {{name: user, dtype: int64, side: user, kind: vocabulary}}
"""


def load(folder, line):
    path = folder / "made.yaml"
    path.write_text(TEXT.format(line=line), encoding="utf-8")
    return Schema.load(path)


def refuses(folder, line, place, *parts):
    with pytest.raises(ValueError) as caught:
        load(folder, line)
    assert str(caught.value).startswith(f"{folder / 'made.yaml'}:{place}"), caught.value
    for part in parts:
        assert part in str(caught.value)


def test_both_spellings_of_a_window_from_the_exposure_are_one_schema(tmp_path):
    older = load(tmp_path, "attribution_window_hours: 24")
    newer = load(tmp_path, "attribution: {window_hours: 24, from: exposure}")
    both = load(
        tmp_path,
        "attribution_window_hours: 24\n  attribution: {window_hours: 24.0, from: exposure}",
    )
    assert older == newer == both
    assert older.hash == newer.hash == both.hash
    for schema in (older, newer, both):
        assert schema.labels.attribution_window_hours == 24
        assert (schema.labels.attribution.window_hours, schema.labels.attribution.from_) == (
            24,
            "exposure",
        )
    assert load(tmp_path, "attribution_window_hours: 25") != older


@pytest.mark.parametrize(
    "line", ["attribution_window_hours: 24", "attribution: {window_hours: 24, from: exposure}"]
)
def test_a_saved_window_loads_equal(tmp_path, line):
    schema = load(tmp_path, line)
    schema.save(tmp_path / "saved.yaml")
    saved = yaml.safe_load((tmp_path / "saved.yaml").read_text(encoding="utf-8"))
    assert saved["labels"]["attribution"] == {"window_hours": 24.0, "from": "exposure"}
    assert "attribution_window_hours" not in saved["labels"]
    assert Schema.load(tmp_path / "saved.yaml") == schema
    assert Schema.parse(schema.model_dump(mode="json", exclude_defaults=True)) == schema


@pytest.mark.parametrize(
    ("line", "place", "parts"),
    [
        ("attribution: {window_hours: 24, from: click}", 6, ["without labels.click_time"]),
        ("attribution: {window_hours: 24, from: buy}", 6, ["'click' or 'exposure'", "'buy'"]),
        ("attribution: {window_hours: 0, from: click}", 6, ["window_hours", "must be above 0"]),
        ("attribution: {window_hours: a day, from: click}", 6, ["window_hours", "'a day'"]),
        ("attribution: {from: exposure}", 6, ["attribution.window_hours: must be given"]),
        ("attribution: {window_hours: 24}", 6, ["attribution.from: must be given"]),
        (
            "attribution: {hours: 24, from: click}",
            6,
            ["attribution.hours: must be a key"],
        ),
        ("attribution: 24", 6, ["labels.attribution: "]),
        (
            "attribution_window_hours: 12\n  attribution: {window_hours: 24, from: exposure}",
            2,
            ["must agree", "12 h from exposure and 24 h from exposure"],
        ),
        (
            "attribution_window_hours: 24\n  attribution: {window_hours: 24, from: click}",
            2,
            ["must agree"],
        ),
        ("exposure_probability: 0", 6, ["exposure_probability: ", "(0, 1], received 0"]),
        ("exposure_probability: 1.5", 6, ["(0, 1], received 1.5"]),
        ("exposure_probability: .nan", 6, ["(0, 1], received nan"]),
        ("exposure_probability: true", 6, ["(0, 1], received True"]),
        ("exposure_probability: [a]", 6, ["(0, 1], received ['a']"]),
        ("exposure_probability: user", 8, ["features[0].name", "can never be a feature"]),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_key(tmp_path, line, place, parts):
    refuses(tmp_path, line, f"{place}: ", *parts)


def test_a_window_in_either_spelling_needs_the_time_from_which_it_counts():
    value = yaml.safe_load(TEXT.format(line="attribution: {window_hours: 24, from: exposure}"))
    del value["labels"]["exposure_time"]
    with pytest.raises(ValueError, match="needs exposure_time"):
        Schema.parse(value)


def test_editors_know_the_keys():
    document = json.loads(
        (Path(__file__).parents[3] / "schemas" / "schema.json").read_text(encoding="utf-8")
    )
    known = yaml.safe_load(TEXT.format(line="attribution: {window_hours: 24, from: click}"))
    jsonschema.validate(known, document)
    known["labels"]["attribution"]["from"] = "buy"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(known, document)
    known["labels"] |= {"attribution": None, "exposure_probability": 2}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(known, document)
