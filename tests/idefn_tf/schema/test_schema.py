"""Every rule of the schema, and where its message points."""

import copy
import json
import math
from pathlib import Path

import jsonschema
import pytest
import yaml

from idefn_tf.schema import REPORT_COLUMNS, Schema, strict_yaml

SCHEMAS = Path(__file__).parents[3] / "schemas"
SHIPPED = sorted(SCHEMAS.glob("*.yaml"))
USER = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
PRICE = {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"}
BASE = {
    "name": "made",
    "labels": {"click": "is_click", "conversion": "is_buy"},
    "features": [USER, PRICE],
}


def made(**changes):
    return {**copy.deepcopy(BASE), **changes}


def with_feature(**changes):
    return made(features=[{**USER, **changes}])


def refuses(value, *parts):
    with pytest.raises(ValueError) as caught:
        Schema.parse(value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_schemas_load_and_validate_against_the_json_schema(path):
    schema = Schema.load(path)
    # a schema with history or delays belongs to the data set of the one without
    stem = path.stem.removesuffix("_history").removesuffix("_derived")
    assert schema.name == stem.removesuffix("_delay")
    document = json.loads((SCHEMAS / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    jsonschema.validate(yaml.safe_load(path.read_text()), document)


def test_the_json_schema_is_fresh():
    fresh = json.loads(json.dumps(Schema.model_json_schema()))
    shipped = json.loads((SCHEMAS / "schema.json").read_text())
    assert shipped == fresh, (
        "schemas/schema.json is stale; write json.dumps(Schema.model_json_schema(), indent=1, "
        "sort_keys=True) to it"
    )


@pytest.mark.parametrize(
    "broken",
    [
        made(extra=1),
        with_feature(kind="identitiy"),
        with_feature(embeding=4),
        {k: v for k, v in BASE.items() if k != "labels"},
        made(features=[]),
    ],
)
def test_the_json_schema_refuses_what_editors_should_mark(broken):
    document = json.loads((SCHEMAS / "schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, document)


def test_every_kind_is_exercised_by_the_simulated_funnel():
    features = Schema.load(SCHEMAS / "simulated_funnel.yaml").features
    kinds = {feature.kind for feature in features}
    assert kinds == {"identity", "hash", "vocabulary", "numeric", "bucketized"}
    assert any(feature.multi_valued and feature.weights for feature in features)
    assert any(feature.train_only for feature in features)


def test_unknown_keys_are_refused_with_their_place(tmp_path):
    path = tmp_path / "made.yaml"
    text = yaml.safe_dump(made(), sort_keys=False)
    path.write_text(text.replace("  kind: numeric", "  kind: numeric\n  embeding: 4"))
    line = path.read_text().splitlines().index("  embeding: 4") + 1
    with pytest.raises(ValueError, match="must be a key of the schema") as caught:
        Schema.load(path)
    assert str(caught.value).startswith(f"{path}:{line}: features[1].embeding: ")


def test_duplicate_keys_are_refused_with_both_lines(tmp_path):
    path = tmp_path / "made.yaml"
    path.write_text("name: made\nlabels:\n  click: a\n  conversion: b\n  click: c\n")
    with pytest.raises(ValueError) as caught:
        Schema.load(path)
    assert f"{path}:5: the key 'labels.click' is given twice (first on line 3)" in str(caught.value)


def test_duplicate_keys_inside_flow_mappings_are_refused():
    text = "features:\n  - {name: a, kind: hash, name: b}\n"
    with pytest.raises(ValueError, match=r"made:2: the key 'features\[0\]\.name' is given twice"):
        strict_yaml.parse(text, "made")


def test_a_file_that_is_no_yaml_or_no_mapping_or_not_there_is_refused(tmp_path):
    path = tmp_path / "made.yaml"
    path.write_text("name: [1,")
    with pytest.raises(ValueError, match=r"made\.yaml: is not valid YAML"):
        Schema.load(path)
    path.write_text("- 1\n")
    with pytest.raises(ValueError, match="must be a mapping of keys, received list"):
        Schema.load(path)
    with pytest.raises(ValueError, match=r"absent\.yaml must be a readable YAML file"):
        Schema.load(tmp_path / "absent.yaml")


def test_duplicate_names_are_refused():
    refuses(made(features=[USER, PRICE, USER]), "features[2].name: 'user' is already features[0]")


def test_a_weights_twin_must_not_collide_with_a_feature():
    listed = {**USER, "name": "tag", "max_length": 3, "weights": "w"}
    twin = {**PRICE, "name": "tag_weights"}
    refuses(made(features=[listed, twin]), "'tag_weights' is already features[0]")


@pytest.mark.parametrize(
    "name", ["is_click", "is_buy", "click", "conversion", "row_id", *REPORT_COLUMNS, "watched"]
)
@pytest.mark.parametrize("key", ["name", "column"])
def test_a_label_or_forbidden_column_can_never_be_a_feature(name, key):
    value = with_feature(**{key: name})
    value["never_features"] = ["watched"]
    refuses(value, f"features[0].{key}: {name!r}", "can never be a feature")


def test_a_label_or_forbidden_column_can_never_be_a_weight():
    refuses(with_feature(max_length=2, weights="is_buy"), "features[0].weights: 'is_buy'")


def test_label_times_are_no_features_either():
    labels = {**BASE["labels"], "click_time": "clicked_at", "conversion_time": "bought_at"}
    for column in ("clicked_at", "bought_at"):
        refuses({**with_feature(column=column), "labels": labels}, f"column: {column!r}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "identity"}, "kind identity needs num_buckets"),
        ({"kind": "hash"}, "kind hash needs num_buckets"),
        ({"kind": "bucketized"}, "kind bucketized needs boundaries"),
        ({"kind": "bucketized", "boundaries": [1, 1]}, "boundaries must rise strictly"),
        ({"kind": "bucketized", "boundaries": [2, 1]}, "boundaries must rise strictly"),
        ({"kind": "identity", "num_buckets": 3, "dtype": "string"}, "takes dtype int64"),
        ({"dtype": "float32"}, "takes dtype int64 or string, received float32"),
        ({"kind": "numeric", "dtype": "string"}, "takes dtype int64 or float32"),
        ({"kind": "numeric", "max_length": 3}, "cannot be multi-valued"),
        ({"weights": "w"}, "weights needs max_length"),
        ({"separator": ","}, "separator needs max_length"),
        ({"train_only": True}, "train_only needs serving_value"),
        ({"kind": "numeric", "tied_to": "price"}, "cannot be tied"),
        ({"missing": "none"}, "missing must be of dtype int64, received 'none'"),
        ({"train_only": True, "serving_value": 0.5}, "serving_value must be of dtype int64"),
        ({"num_buckets": 0}, "must be 1 or more, received 0"),
        ({"headroom": -1}, "must be 0 or more, received -1"),
        ({"max_missing_rate": 1.5}, "must be 1 or less, received 1.5"),
        ({"side": "shop"}, "'user', 'item' or 'context'"),
        ({"name": "1st"}, "must be text of the form ^[A-Za-z]"),
        ({"minimum": float("nan")}, "must be a finite number"),
        (
            {"kind": "numeric", "dtype": "float32", "minimum": 2, "maximum": 1},
            "minimum must not exceed maximum, received 2.0 and 1.0",
        ),
        (
            {"kind": "hash", "num_buckets": 9, "log1p": True},
            "log1p means nothing for kind hash (it is read for numeric); remove it",
        ),
    ],
)
def test_feature_rules(changes, message):
    refuses(with_feature(**changes), "features[0]", message)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"tied_to": "nobody"}, "must name a feature that is not itself tied"),
        ({"tied_to": "friend"}, "must name a feature that is not itself tied"),
        ({"tied_to": "user", "dtype": "string"}, "must have the same kind and dtype"),
        ({"tied_to": "user", "kind": "hash", "num_buckets": 9}, "must have the same kind"),
    ],
)
def test_tied_rules(other, message):
    friend = {**USER, "name": "friend", **other}
    refuses(made(features=[USER, friend]), "features[1].tied_to", message)


def test_chains_of_ties_are_refused():
    second = {**USER, "name": "second", "tied_to": "user"}
    third = {**USER, "name": "third", "tied_to": "second"}
    refuses(made(features=[USER, second, third]), "features[2].tied_to")


def test_the_user_key_must_be_a_feature():
    refuses(
        made(user_key="nobody"),
        "user_key: must name a feature, received 'nobody'; take one of user, price",
    )


def test_label_rules():
    refuses(
        made(labels={"click": "a"}), "labels.conversion: must be given, received nothing; add it"
    )
    refuses(
        made(labels={"click": "a", "conversion": "a"}),
        "labels: click and conversion must be two columns, received 'a' for both",
    )
    refuses(made(labels={**BASE["labels"], "negative_keep_rate": 0}), "must be above 0, received 0")
    refuses(made(labels={**BASE["labels"], "time_unit": "h"}), "labels.time_unit")
    for zone, hint in (("Asia/Shangai", "did you mean Asia/Shanghai"), ("+08:00", "IANA name")):
        refuses(made(labels={**BASE["labels"], "time_zone": zone}), "labels.time_zone", hint)


def test_several_errors_are_told_at_once():
    value = made(extra=1)
    value["features"][0]["kind"] = "hsh"
    refuses(
        value,
        "extra: must be a key of the schema, received 'extra'",
        "features[0].kind: ",
        "received 'hsh'",
    )


def test_defaults_of_nulls_follow_the_dtype():
    for dtype, kind, fill in (
        ("int64", "vocabulary", -1),
        ("string", "vocabulary", ""),
    ):
        feature = Schema.parse(with_feature(dtype=dtype, kind=kind)).features[0]
        assert feature.fill == fill
    number = Schema.parse(with_feature(dtype="float32", kind="numeric")).features[0]
    assert math.isnan(number.fill)  # the model itself puts the mean in
    number = with_feature(dtype="float32", kind="bucketized", boundaries=[1.0])
    assert Schema.parse(number).features[0].fill == 0.0
    assert Schema.parse(with_feature(missing=7)).features[0].fill == 7
    assert Schema.parse(with_feature(missing=0)).features[0].fill == 0


def test_widths_and_order():
    context = {**USER, "name": "hour", "side": "context"}
    tied = {**USER, "name": "friend", "side": "item", "tied_to": "user"}
    user = {**USER, "embedding": 8}
    schema = Schema.parse(made(features=[context, PRICE, tied, user], embedding_width=5))
    assert [f.name for f in schema.ordered] == ["user", "price", "friend", "hour"]
    assert [schema.width(f) for f in schema.ordered] == [8, 1, 8, 5]
    assert schema.feature("hour").side == "context"
    with pytest.raises(ValueError, match="no feature 'nobody'"):
        schema.feature("nobody")


def test_labels_resolve_to_prepared_names_first():
    labels = Schema.parse(made()).labels
    assert labels.resolve(["click", "conversion", "is_click", "is_buy"]) == ("click", "conversion")
    assert labels.resolve(["is_click", "is_buy"]) == ("is_click", "is_buy")
    with pytest.raises(ValueError, match="'is_click' and 'is_buy'"):
        labels.resolve(["is_click", "conversion"])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_saved_schemas_load_equal(path, tmp_path):
    schema = Schema.load(path)
    schema.save(tmp_path / "deep" / "schema.yaml")
    again = Schema.load(tmp_path / "deep" / "schema.yaml")
    assert again == schema
    assert again.hash == schema.hash
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["schema.yaml"]


def test_the_hash_changes_with_meaning_only():
    schema = Schema.parse(made())
    assert Schema.parse(made(never_features=[])).hash == schema.hash
    assert Schema.parse(made(embedding_width=17)).hash != schema.hash
    assert len(schema.hash) == 12


def test_a_key_that_came_later_leaves_old_hashes_as_they_were():
    """The hash of this schema before `labels.time_zone` was there: old folders go on working."""
    utc = made(labels={**BASE["labels"], "time_zone": "UTC"})
    assert Schema.parse(made()).hash == Schema.parse(utc).hash == "4554bcb589af"
    shanghai = made(labels={**BASE["labels"], "time_zone": "Asia/Shanghai"})
    assert Schema.parse(shanghai).hash != Schema.parse(utc).hash


def test_schemas_do_not_change():
    schema = Schema.parse(made())
    with pytest.raises(ValueError, match="frozen"):
        schema.name = "other"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: s\n? [a, b]\n: 1\n", "<text>:2: a key must be a plain word"),
        ("a: &all\n- *all\n", "<text>: an anchor refers to itself; write the value out"),
    ],
)
def test_yaml_that_json_could_not_say_is_refused(text, told):
    with pytest.raises(ValueError) as refused:
        strict_yaml.parse(text)
    assert str(refused.value) == told
