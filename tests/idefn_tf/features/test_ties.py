"""A tied field finds each id in its owner's row of that id, in training and in what is served."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.export import Scorer, export_model
from idefn_tf.features import FeatureColumns, Field
from idefn_tf.models import ESMM
from idefn_tf.schema import Schema

FAR = 10**15
KINDS = {
    "array": ({"dtype": "int64", "kind": "vocabulary"}, [7, 5, 9]),
    "hash table": ({"dtype": "int64", "kind": "vocabulary"}, [7, FAR, 9]),
    "text": ({"dtype": "string", "kind": "vocabulary"}, ["x", "ü", "z"]),
    "hash": ({"dtype": "int64", "kind": "hash", "num_buckets": 6}, [7, 5, 9]),
    "hashed text": ({"dtype": "string", "kind": "hash", "num_buckets": 6}, ["x", "ü", "z"]),
    "identity": ({"dtype": "int64", "kind": "identity", "num_buckets": 6}, [0, 5, 3]),
}
OOV = {"one": {}, "three": {"oov_buckets": 3}, "zero": {"oov": "zero"}}
CASES = [
    pytest.param(kind, known, oov, id=f"{name}, {unknown}")
    for name, (kind, known) in KINDS.items()
    for unknown, oov in OOV.items()
    if kind["kind"] == "vocabulary" or not oov
]


def schema_of(kind, oov, tied=True, **more):
    """`a` owns a table and `b` shares it, or has its own; neighbours lie on both sides."""
    state = {"side": "user", "dtype": "int64", "kind": "identity", "num_buckets": 4}
    plain = {key: value for key, value in kind.items() if key != "num_buckets"}
    other = {"tied_to": "a", **plain} if tied else {**kind, **oov}
    return Schema.parse(
        {
            "name": "s",
            "embedding_width": 2,
            "labels": {"click": "c", "conversion": "r"},
            "features": [
                {"name": "before", **state},
                {"name": "a", "side": "user", "headroom": 2 * (kind["kind"] == "vocabulary"),
                 **kind, **oov},
                {"name": "between", **state},
                {"name": "b", "side": "item", **other, **more},
                {"name": "after", **{**state, "side": "context"}},
            ],
        }
    )  # fmt: skip


def raw(kind, known):
    """Ids known, unknown and absent."""
    text = kind["dtype"] == "string"
    values = [*known, *(["?", ""] if text else [100, -1])]
    return np.array(values, object) if text else np.int64(values)


def batch(kind, known, turned):
    values, at = raw(kind, known), np.zeros(len(known) + 2, np.int64)
    return {"before": at, "a": values, "between": at, "b": values[turned], "after": at}


@pytest.mark.parametrize(("kind", "known", "oov"), CASES)
def test_each_id_reads_its_owners_row(kind, known, oov):
    """A table made by hand: the row of the k-th known id is (k + 1, -k - 1)."""
    vocabulary = {"a": {"kind": "vocabulary", "values": known}}
    layer = FeatureColumns.from_schema(schema_of(kind, oov), vocabulary)
    count = 3 if kind["kind"] == "vocabulary" else kind["num_buckets"]
    unknown = layer.row_range("a")[1] - layer.row_range("a")[0]
    numbers = np.arange(1.0, count + unknown + 1)
    for name in ("before", "between", "after"):
        layer.set_embedding(name, np.full((4, 2), 999.0))
    layer.set_embedding("a", np.stack([numbers, -numbers], 1))

    rows = batch(kind, known, [4, 3, 2, 1, 0])
    z, at = np.array(layer(rows)), layer.field_slices()
    np.testing.assert_array_equal(z[::-1, at["b"]], z[:, at["a"]])
    first = {"vocabulary": [1, 2, 3], "identity": [1, 6, 4]}.get(kind["kind"])
    if first is None:  # as TensorFlow hashes them
        text = [str(value) for value in known]
        first = (tf.strings.to_hash_bucket_fast(text, count).numpy() + 1).tolist()
    assert z[:3, at["a"]][:, 0].tolist() == first
    assert z[4:1:-1, at["b"]].tolist() == [[n, -n] for n in first]


@pytest.mark.parametrize(("kind", "known", "oov"), CASES)
def test_a_list_reads_its_owners_rows(kind, known, oov):
    vocabulary = {"a": {"kind": "vocabulary", "values": known}}
    schema = schema_of(kind, oov, max_length=2, combiner="sum")
    layer = FeatureColumns.from_schema(schema, vocabulary, embedding_stddev=1.0)
    rows = batch(kind, known, [0, 1, 2, 3, 4])
    rows["b"] = np.stack([rows["b"], rows["b"][[1, 2, 0, 4, 3]]], 1)
    z, at = np.array(layer(rows)), layer.field_slices()
    single = z[:, at["a"]]
    np.testing.assert_allclose(z[:, at["b"]], single + single[[1, 2, 0, 4, 3]], rtol=1e-6)


@pytest.mark.parametrize(("kind", "known", "oov"), CASES)
def test_the_served_graph_reads_the_same_rows(kind, known, oov, tmp_path):
    """The rival has the tied feature's rows in a table of its own."""
    learned = {name: {"kind": "vocabulary", "values": known} for name in "ab"}
    models = []
    for schema in (schema_of(kind, oov), schema_of(kind, oov, tied=False)):
        features = FeatureColumns.from_schema(schema, learned, embedding_stddev=1.0)
        model = ESMM(features, MLP(units=(4,)))
        model({k: tf.constant(v) for k, v in batch(kind, known, [0, 1, 2, 3, 4]).items()})
        models.append(model)
    tied, apart = models
    towers = [[v for v in model.variables if "embeddings" not in v.path] for model in (tied, apart)]
    for mine, other in zip(*towers, strict=True):
        other.assign(mine)
    matrices = tied.features.table("2")
    table = apart.features.table("2").copy()
    for name in ("before", "a", "between", "b", "after"):
        start, _, end = tied.features.row_range(name)
        mine, _, stop = apart.features.row_range(name)
        table[mine:stop] = matrices[start:end][: stop - mine]
    apart.features.set_table("2", table)

    rows = batch(kind, known, [4, 3, 0, 1, 2])
    path = export_model(tied, schema_of(kind, oov), tmp_path / "m")
    with Scorer(path) as scorer:
        found = scorer.score(rows)["cvr"]
    expected = apart({name: tf.constant(value) for name, value in rows.items()})["cvr"]
    assert np.ptp(found) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


# -- made by hand ---------------------------------------------------------------------------------

OWNER = Field("a", "vocabulary", "int64", 2, 2, oov_buckets=2, values=(4, 5), table="a")


@pytest.mark.parametrize(
    ("tied", "message"),
    [
        (Field("b", "vocabulary", "int64", 2, 2, 1, values=(4, 5)), "oov_buckets must be 2, rec"),
        (Field("b", "vocabulary", "int64", 2, 2, 0, values=(4, 5)), "oov_buckets must be 2, rec"),
        (Field("b", "vocabulary", "int64", 3, 2, 2, values=(4, 5)), "width must be 2, received 3"),
        (Field("b", "vocabulary", "int64", 2, 2, 2, values=(5, 4)), "vocabulary must have the s"),
        (Field("b", "vocabulary", "int64", 2, 1, 2, values=(4,)), "known ids must be 2, received"),
        (Field("b", "hash", "int64", 2, 4), "kind must be 'vocabulary', received 'hash'"),
    ],
)
def test_fields_that_do_not_fit_are_refused(tied, message):
    tied = Field.from_config({**tied.to_config(), "table": "a"})
    with pytest.raises(ValueError, match=f"'b' shares the table of 'a'.*{message}"):
        FeatureColumns([OWNER, tied])


@pytest.mark.parametrize(
    ("kind", "more"), [("hash", 5), ("hash", 3), ("identity", 5)], ids=lambda v: str(v)
)
def test_counts_that_do_not_fit_are_refused(kind, more):
    owner = Field("a", kind, "int64", 2, 4, table="a")
    tied = Field("b", kind, "int64", 2, more, table="a")
    with pytest.raises(ValueError, match=f"known ids must be 4, received {more}"):
        FeatureColumns([owner, tied])


def test_fewer_ids_of_an_identity_are_the_owners_first():
    owner = Field("a", "identity", "int64", 2, 4, table="a")
    layer = FeatureColumns([owner, Field("b", "identity", "int64", 2, 2, table="a")])
    layer.set_embedding("a", np.array([[1, 1], [2, 2], [3, 3], [4, 4]]))
    z = layer({"a": np.int64([0, 1, 2, 3]), "b": np.int64([0, 1, 2, -1])})
    np.testing.assert_array_equal(z[:, 2:], [[1, 1], [2, 2], [0, 0], [0, 0]])


def test_feature_columns_that_do_not_fit_their_schema_are_refused():
    make = tf.feature_column
    schema = schema_of({"dtype": "int64", "kind": "vocabulary"}, {})
    columns = [
        make.embedding_column(
            make.categorical_column_with_vocabulary_list(name, [4, 5], tf.int64, num_oov_buckets=n),
            2,
        )
        for name, n in (("a", 2), ("b", 1))
    ]
    with pytest.raises(ValueError, match="'b' shares the table of 'a', so its oov_buckets must be"):
        FeatureColumns(columns, schema)


def test_a_saved_model_with_such_a_pair_says_so(tmp_path):
    """As an earlier release wrote it: the tied field with a place for unknown ids of its own."""
    good = Field.from_config({**OWNER.to_config(), "name": "b"})
    inputs = {name: keras.Input((), dtype="int64", name=name) for name in "ab"}
    model = keras.Model(inputs, FeatureColumns([OWNER, good])(inputs))
    model.save(tmp_path / "good.keras")
    found = keras.saving.load_model(tmp_path / "good.keras")
    rows = {"a": np.int64([4, 5, 6]), "b": np.int64([5, 6, 4])}
    np.testing.assert_array_equal(found(rows), model(rows))

    _without_one_row(model.layers[-1])
    model.save(tmp_path / "broken.keras")
    with pytest.raises(ValueError, match="read the rows of other ids: train it anew"):
        keras.saving.load_model(tmp_path / "broken.keras")


def _without_one_row(layer):
    a, b = layer.fields
    layer.fields = (a, Field.from_config({**b.to_config(), "oov_buckets": 1}))
