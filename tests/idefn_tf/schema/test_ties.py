"""What a tied feature takes from its owner, and which pairs are refused."""

import pytest

from idefn_tf.schema import Schema, ties

VOCABULARY = {"dtype": "int64", "side": "user", "kind": "vocabulary"}
HASH = {"dtype": "string", "side": "user", "kind": "hash"}
IDENTITY = {"dtype": "int64", "side": "user", "kind": "identity"}


def pair(kind, owner, tied):
    """A schema's keys: `a` owns a table, `b` shares it; `b` stands first."""
    return {
        "name": "s",
        "embedding_width": 5,
        "labels": {"click": "c", "conversion": "r"},
        "features": [
            {"name": "b", "tied_to": "a", **kind, **tied},
            {"name": "a", **kind, **owner},
        ],
    }


@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        (VOCABULARY, {"oov_buckets": 4}),
        (VOCABULARY, {"oov": "zero"}),
        (HASH, {"num_buckets": 7}),
        (IDENTITY, {"num_buckets": 7}),
    ],
)
def test_a_key_that_is_left_out_is_the_owners(kind, owner, tmp_path):
    schema = Schema.parse(pair(kind, owner, {}))
    for key, value in owner.items():
        assert getattr(schema.feature("b"), key) == value
    stated = Schema.parse(pair(kind, owner, owner))
    assert stated == schema
    assert stated.hash == schema.hash
    schema.save(tmp_path / "s.yaml")
    assert Schema.load(tmp_path / "s.yaml") == schema
    assert Schema.parse(schema.model_dump(mode="json")) == schema


@pytest.mark.parametrize(
    ("kind", "owner", "tied", "message"),
    [
        (VOCABULARY, {"oov_buckets": 4}, {"oov_buckets": 2}, "must be 4, as 'a' has it"),
        (VOCABULARY, {"oov_buckets": 4}, {"oov_buckets": 1}, "received 1; give both the same"),
        (VOCABULARY, {}, {"oov_buckets": 2}, "must be 1, as 'a' has it"),
        (VOCABULARY, {}, {"oov": "zero"}, "must be 'bucket', as 'a' has it"),
        (VOCABULARY, {"oov": "zero"}, {"oov": "bucket"}, "must be 'zero', as 'a' has it"),
        (HASH, {"num_buckets": 7}, {"num_buckets": 6}, "must be 7, as 'a' has it"),
        (IDENTITY, {"num_buckets": 7}, {"num_buckets": 8}, "or leave the key out"),
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_a_pair_whose_rows_differ_is_refused(kind, owner, tied, message, kept, tmp_path):
    (tmp_path / "s.yaml").write_text(
        "name: s\nlabels: {click: c, conversion: r}\nfeatures:\n"
        f"- {{name: a, {_flow(kind, owner)}}}\n"
        f"- {{name: b, tied_to: a, {_flow(kind, {})},\n   {_flow(tied)}}}\n"
    )
    with pytest.raises(ValueError, match=message) as caught:
        Schema.load(tmp_path / "s.yaml", kept=kept)
    assert f"s.yaml:6: schema: features[1].{next(iter(tied))}: " in str(caught.value)
    assert ("train anew" in str(caught.value)) == kept


def _flow(*parts):
    return ", ".join(f"{key}: {value}" for part in parts for key, value in part.items())


@pytest.mark.parametrize(
    ("owner", "tied", "message"),
    [
        ({"min_count": 2}, {"min_count": 3}, "min_count: must be 2, as 'a' has it"),
        ({}, {"max_size": 9}, "max_size: must be None, as 'a' has it"),
        ({"headroom": 10}, {"headroom": 20}, "headroom: must be 10, as 'a' has it"),
        ({"embedding": 8}, {"embedding": 3}, "embedding: must be 8, as 'a' has it"),
        ({}, {"embedding": 3}, "embedding: must be 5, as 'a' has it"),
    ],
)
def test_what_only_the_owner_can_say(owner, tied, message):
    """Nothing reads it from the tied feature: a new schema may not say it, a folder may hold it."""
    with pytest.raises(ValueError, match=message):
        Schema.parse(pair(VOCABULARY, owner, tied))
    kept = Schema.parse(pair(VOCABULARY, owner, tied), kept=True)
    assert kept.feature("b").tied_to == "a"
    assert kept.width(kept.feature("b")) == owner.get("embedding", 5)
    for same in ({}, owner):
        assert Schema.parse(pair(VOCABULARY, owner, same))


def test_what_each_column_says_for_itself():
    tied = {"missing": 3, "max_length": 2, "combiner": "sum", "maximum": 9.0, "column": "raw"}
    schema = Schema.parse(pair(VOCABULARY, {"missing": 4, "oov_buckets": 2}, tied))
    for key, value in tied.items():
        assert getattr(schema.feature("b"), key) == value
    assert schema.feature("a").fill == 4


def test_pairs_that_were_right_already():
    """Fewer buckets of an identity read the owner's first rows; no row, no bucket is unknown's."""
    few = Schema.parse(pair(IDENTITY, {"num_buckets": 7}, {"num_buckets": 3}))
    assert few.feature("b").num_buckets == 3
    zero = {"oov": "zero", "oov_buckets": 3}
    assert Schema.parse(pair(VOCABULARY, zero, {"oov": "zero"})).feature("b").oov_buckets == 1


def test_a_tied_identity_checks_its_stand_in_against_the_owner():
    tied = {"train_only": True, "serving_value": 6}
    assert Schema.parse(pair(IDENTITY, {"num_buckets": 7}, tied)).feature("b").num_buckets == 7
    with pytest.raises(ValueError, match=r"features\[0\].serving_value must lie in 0..5"):
        Schema.parse(pair(IDENTITY, {"num_buckets": 6}, tied))


@pytest.mark.parametrize(
    ("kind", "owner", "tied", "found"),
    [
        (VOCABULARY, {"oov_buckets": 4}, {}, [("b", "oov_buckets")]),
        (VOCABULARY, {"oov": "zero"}, {}, [("b", "oov")]),
        (VOCABULARY, {"oov_buckets": 4}, {"oov_buckets": 4}, []),
        (VOCABULARY, {"oov": "zero"}, {"oov": "zero"}, []),
        (VOCABULARY, {"headroom": 4, "min_count": 2}, {}, []),
        (IDENTITY, {"num_buckets": 4}, {}, []),
    ],
)
def test_what_earlier_releases_did_not_take_from_the_owner(kind, owner, tied, found):
    assert ties.left_out(pair(kind, owner, tied)["features"]) == found
