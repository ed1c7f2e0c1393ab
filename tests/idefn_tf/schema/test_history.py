"""History and sequences: every rule with its place, and the features that come out."""

import copy
from pathlib import Path

import pytest
import yaml

from idefn_tf.schema import BehaviourSequence, History, Schema
from idefn_tf.schema.history_features import of_other_windows

FEATURES = [
    {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
    {"name": "age", "dtype": "float32", "side": "user", "kind": "numeric"},
    {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"},
    {"name": "shop", "dtype": "int64", "side": "item", "kind": "vocabulary"},
    {"name": "tags", "dtype": "int64", "side": "item", "kind": "vocabulary", "max_length": 3},
]
AGGREGATE = {
    "key": ["user", "shop"],
    "events": ["click", "conversion"],
    "measures": ["count", "rate", "hours_since"],
    "windows": ["6h", "7d", "all"],
}
SEQUENCE = {
    "name": "clicks",
    "key": "user",
    "condition": "clicked",
    "items": ["item", "shop"],
    "length": 20,
    "gap_hours": [1, 24],
}
BASE = {
    "name": "made",
    "labels": {"click": "is_click", "conversion": "bought", "exposure_time": "shown_at"},
    "features": FEATURES,
}
WHOLE = {
    **BASE,
    "history": {
        "refresh": "daily",
        "lag": "2h",
        "smoothing": 10,
        "conversion": "raw",
        "columns": {"click": "long_view"},
        "burn_in_days": 3,
        "aggregates": [AGGREGATE],
    },
    "sequences": [SEQUENCE],
}


def changed(at, value):
    """WHOLE with another value at a path such as history.aggregates.0.key; None removes it."""
    whole = copy.deepcopy(WHOLE)
    *before, last = [int(part) if part.isdigit() else part for part in at.split(".")]
    holder = whole
    for part in before:
        holder = holder[part]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return whole


def refusal(folder, value):
    """What loading says, and the file's lines."""
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        Schema.load(path)
    return str(caught.value), path.read_text(encoding="utf-8").splitlines()


def test_records_are_typed_and_name_what_comes_out():
    history = History.model_validate(WHOLE["history"])
    assert (history.refresh, history.lag, history.smoothing) == ("daily", "2h", 10.0)
    assert history.columns == {"click": "long_view"}
    assert history.aggregates[0].names == (
        "user_x_shop__click_count__6h",
        "user_x_shop__click_count__7d",
        "user_x_shop__click_count__all",
        "user_x_shop__click_rate__6h",
        "user_x_shop__click_rate__7d",
        "user_x_shop__click_rate__all",
        "user_x_shop__click_hours_since__all",
        "user_x_shop__conversion_count__6h",
        "user_x_shop__conversion_count__7d",
        "user_x_shop__conversion_count__all",
        "user_x_shop__conversion_rate__6h",
        "user_x_shop__conversion_rate__7d",
        "user_x_shop__conversion_rate__all",
        "user_x_shop__conversion_hours_since__all",
    )
    sequence = BehaviourSequence.model_validate(SEQUENCE)
    assert sequence.names == ("clicks__item", "clicks__shop", "clicks__gap")
    assert sequence.model_copy(update={"gap_hours": ()}).names == ("clicks__item", "clicks__shop")


def test_generated_features_stand_beside_the_recorded_ones(tmp_path):
    schema = Schema.parse(WHOLE)
    assert [feature.name for feature in schema.recorded] == [f["name"] for f in FEATURES]
    aggregate = schema.feature("user_x_shop__click_rate__7d")
    assert (aggregate.side, aggregate.kind, aggregate.log1p) == ("context", "numeric", False)
    assert schema.feature("user_x_shop__click_count__7d").log1p
    shops = schema.feature("clicks__shop")
    assert (shops.side, shops.tied_to, shops.max_length) == ("user", "shop", 20)
    gap = schema.feature("clicks__gap")
    assert (gap.kind, gap.num_buckets, gap.max_length) == ("identity", 3, 20)
    assert schema.generated == {f.name for f in schema.features} - {f["name"] for f in FEATURES}


def test_a_saved_schema_lists_the_recorded_features_alone(tmp_path):
    schema = Schema.parse(WHOLE)
    schema.save(tmp_path / "saved.yaml")
    assert "clicks__" not in (tmp_path / "saved.yaml").read_text(encoding="utf-8")
    again = Schema.load(tmp_path / "saved.yaml")
    assert again == schema
    assert again.hash == schema.hash
    assert schema.hash != Schema.parse(BASE).hash


@pytest.mark.parametrize(
    ("at", "value", "parts"),
    [
        ("history.refesh", "daily", ["history.refesh: must be a key of the schema"]),
        ("history.refresh", "weekly", ["history.refresh: ", "'continuous', 'hourly' or 'daily'"]),
        ("history.lag", "2 hours", ["history.lag: ", "such as 6h or 7d, received '2 hours'"]),
        ("history.lag", 2, ["history.lag: ", "received 2"]),
        ("history.smoothing", -1, ["history.smoothing: ", "must be 0 or more"]),
        ("history.conversion", "all", ["history.conversion: ", "'after_click' or 'raw'"]),
        ("history.columns", {"view": "a"}, ["history.columns.view", "'click'"]),
        ("history.known_at", "soon", ["history.known_at: ", "such as 2024-05-08", "'soon'"]),
        ("history.burn_in_days", 1.5, ["history.burn_in_days: ", "1.5"]),
        ("history.aggregates.0.key", "nobody", ["aggregates[0].key: ", "'nobody'", "'user'"]),
        ("history.aggregates.0.key", "age", ["aggregates[0].key: ", "'age', which is numeric"]),
        ("history.aggregates.0.key", ["user", "tags"], ["aggregates[0].key: ", "is a list"]),
        ("history.aggregates.0.key", ["user", "user"], ["two features", "['user', 'user']"]),
        ("history.aggregates.0.key", ["a", "b", "c"], ["aggregates[0].key: ", "pair of features"]),
        ("history.aggregates.0.key", 3, ["aggregates[0].key: ", "received 3"]),
        ("history.aggregates.0.key", None, ["aggregates[0].key: must be given"]),
        (
            "history.aggregates.0.events",
            [],
            ["aggregates[0].events: must be a list of 1 or more"],
        ),
        ("history.aggregates.0.events", ["buy"], ["aggregates[0].events[0]: ", "'buy'"]),
        ("history.aggregates.0.events", ["click", "click"], ["events must be distinct"]),
        ("history.aggregates.0.measures", ["mean"], ["measures[0]: ", "'mean'"]),
        ("history.aggregates.0.measures", ["sum"], ["value must name a column", "received None"]),
        ("history.aggregates.0.value", "price", ["value must name a column", "'price'"]),
        ("history.aggregates.0.windows", ["1w"], ["windows[0]: ", "or all, received '1w'"]),
        ("history.aggregates.0.windows", ["0h"], ["windows[0]: ", "'0h'"]),
        ("history.aggregates.0.events", ["exposure"], ["rate must be of click or conversion"]),
        ("history.aggregates", [AGGREGATE] * 2, ["aggregates[1]: ", "click_count__6h", "rename"]),
        ("sequences.0.name", "1st", ["sequences[0].name: ", "must be text of the form"]),
        ("sequences.0.key", "tags", ["sequences[0].key: ", "is a list"]),
        ("sequences.0.condition", "seen", ["sequences[0].condition: ", "'seen'"]),
        ("sequences.0.items", ["tags"], ["sequences[0].items[0]: ", "'tags', which is a list"]),
        ("sequences.0.items", ["item", "user"], ["items[1]: ", "'user' of side user"]),
        ("sequences.0.items", ["item", "item"], ["items must be distinct"]),
        ("sequences.0.length", 0, ["sequences[0].length: ", "must be 1 or more"]),
        ("sequences.0.gap_hours", [24, 1], ["gap_hours must rise strictly"]),
        ("sequences.0.gap_hours", [0], ["gap_hours[0]: ", "must be above 0"]),
        ("sequences", [SEQUENCE] * 2, ["sequences[1].name: ", "'clicks__item'", "rename"]),
        ("sequences", SEQUENCE, ["sequences: "]),
        ("labels.exposure_time", None, ["history: must have labels.exposure_time", "known_at"]),
    ],
)
def test_what_is_wrong_is_said_before_with_its_place(tmp_path, at, value, parts):
    said, lines = refusal(tmp_path, changed(at, value))
    for part in parts:
        assert part in said
    line = int(said.removeprefix(f"{tmp_path / 'made.yaml'}:").split(":")[0])
    sections = lines.index("history:") + 1, lines.index("sequences:") + 1
    assert (line >= sections[1]) is at.startswith("sequences"), said
    assert line >= sections[0], said


def test_a_stream_without_times_is_of_all_time_alone(tmp_path):
    known = changed("history.known_at", "2022-04-25")
    said, _ = refusal(tmp_path, known)
    assert "aggregates[0] must look at all time alone" in said
    assert "['6h', '7d']" in said
    known["history"]["aggregates"] = [{"key": "user", "events": ["click"]}]
    said, lines = refusal(tmp_path, known)
    assert said.startswith(f"{tmp_path / 'made.yaml'}:{lines.index('  gap_hours:') + 1}: ")
    assert "received [1.0, 24.0]" in said
    del known["sequences"][0]["gap_hours"]
    del known["labels"]["exposure_time"]
    assert Schema.parse(known).generated
    del known["history"]["aggregates"]
    del known["sequences"]
    assert "history.aggregates: must not be empty" in refusal(tmp_path, known)[0]


def test_a_day_that_yaml_reads_as_one_is_a_moment():
    (day,) = yaml.safe_load("[2022-04-25]")
    assert History.model_validate({"known_at": day}).known_at == "2022-04-25"


def test_a_generated_name_never_is_a_column_of_the_schema(tmp_path):
    value = copy.deepcopy(WHOLE)
    value["features"].append({**FEATURES[1], "name": "clicks__gap"})
    said, _ = refusal(tmp_path, value)
    assert "sequences[0].name: would make the column 'clicks__gap'" in said


def test_the_pages_example_is_right(tmp_path):
    root = Path(__file__).parents[3]
    page = (root / "docs" / "history.md").read_text(encoding="utf-8")
    text = page[page.index("\nhistory:\n") : page.index("\n```", page.index("\nsequences:\n"))]
    shipped = yaml.safe_load((root / "schemas" / "kuairand_pure.yaml").read_text(encoding="utf-8"))
    assert Schema.parse({**shipped, **yaml.safe_load(text)}).generated


def test_empty_keys_are_the_default():
    bare = Schema.parse(BASE)
    given = Schema.parse({**BASE, "history": None, "sequences": []})
    assert given == bare
    assert given.hash == bare.hash


def test_the_columns_of_other_windows_are_told():
    past = History.model_validate(
        {
            "aggregates": [
                {
                    "key": "user",
                    "events": ["click"],
                    "measures": ["count", "hours_since"],
                    "windows": ["1d", "7d", "all"],
                }
            ]
        }
    )
    found = of_other_windows(past, ["7d"])
    assert found == {"user__click_count__1d", "user__click_count__all"}
    assert of_other_windows(past, ["1d", "7d", "all"]) == set()
    for history, known in ((past, r"\['1d', '7d', 'all'\]"), (None, r"\[\]")):
        with pytest.raises(ValueError, match=rf"windows: must be of .*{known}, received '2d'"):
            of_other_windows(history, ["7d", "2d"] if history else ["2d"])
