"""open_dataset: one batch from every source, in an order that repeats."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset, read_table
from idefn_tf.schema import Schema

SCHEMA = Schema.parse(
    {
        "name": "s",
        "labels": {"click": "is_click", "conversion": "is_buy"},
        "features": [
            {"name": "user", "column": "uid", "dtype": "int64", "side": "user",
             "kind": "vocabulary"},
            {"name": "city", "dtype": "string", "side": "user", "kind": "vocabulary",
             "missing": "nowhere"},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric",
             "missing": 2.5},
            {"name": "tags", "dtype": "string", "side": "item", "kind": "vocabulary",
             "max_length": 3, "separator": ",", "weights": "tag_w"},
            {"name": "topics", "dtype": "int64", "side": "item", "kind": "identity",
             "num_buckets": 50, "max_length": 2, "separator": ","},
            {"name": "slot", "dtype": "int64", "side": "context", "kind": "identity",
             "num_buckets": 10, "train_only": True, "serving_value": 4},
        ],
    }
)  # fmt: skip


def frame(rows=50, seed=0):
    """Text lists as a CSV has them, with nulls in every column that may have some."""
    rng = np.random.default_rng(seed)
    click = rng.integers(0, 2, rows)
    counts = rng.integers(0, 5, rows)
    made = pd.DataFrame(
        {
            "uid": pd.array(rng.integers(0, 2**40, rows), "Int64"),
            "city": rng.choice(["007", "ü b", "NA"], rows).astype(object),
            "price": rng.normal(size=rows).astype(np.float32),
            "tags": [",".join(rng.choice(["x", "y", "10"], n)) for n in counts],
            "tag_w": [",".join(map(str, rng.choice([0.5, 2.0], n))) for n in counts],
            "topics": [", ".join(map(str, rng.integers(0, 50, n))) for n in counts],
            "slot": rng.integers(0, 10, rows),
            "is_click": click,
            "is_buy": rng.integers(0, 2, rows),  # also where unclicked: logs have that
            "sample_weight": rng.choice([0.5, 1.0], rows).astype(np.float32),
        }
    )
    made.loc[3, "uid"] = pd.NA
    made.loc[4, "city"] = None
    made.loc[5, "price"] = None
    made.loc[6, ["tags", "tag_w", "topics"]] = None
    return made


def split(text, kind):
    return [kind(part.strip()) for part in text.split(",")] if text else []


def as_lists(table):
    """The same rows with real lists in place of text."""
    made = table.copy()
    for name, kind in (("tags", str), ("tag_w", float), ("topics", int)):
        made[name] = [None if t is None or pd.isna(t) else split(t, kind) for t in table[name]]
    return made


def whole(dataset):
    """All batches of a data set, concatenated: features, labels, weight."""
    batches = list(dataset.as_numpy_iterator())
    features = {k: np.concatenate([b[0][k] for b in batches]) for k in batches[0][0]}
    labels = {k: np.concatenate([b[1][k] for b in batches]) for k in batches[0][1]}
    return features, labels, np.concatenate([b[2] for b in batches])


def same(one, other):
    for mine, yours in zip(one[:2], other[:2], strict=True):
        assert set(mine) == set(yours)
        for name in mine:
            assert mine[name].dtype == yours[name].dtype, name
            np.testing.assert_array_equal(mine[name], yours[name], err_msg=name)
    np.testing.assert_array_equal(one[2], other[2])


def examples(table):
    """The rows as serialized tf.train.Example, nulls left out."""
    names = {"uid": "user", "tag_w": "tags_weights", "is_click": "click", "is_buy": "conversion"}
    for row in as_lists(table).to_dict("records"):
        made = tf.train.Example()
        for key, value in row.items():
            values = value if isinstance(value, list) else [value]
            values = [] if value is None or (np.isscalar(value) and pd.isna(value)) else values
            if not isinstance(value, list) and (value is pd.NA or value is None):
                values = []
            feature = made.features.feature[names.get(key, key)]
            if values and isinstance(values[0], str):
                feature.bytes_list.value.extend(v.encode() for v in values)
            elif values and isinstance(values[0], float):
                feature.float_list.value.extend(values)
            elif values:
                feature.int64_list.value.extend(int(v) for v in values)
            else:
                del made.features.feature[names.get(key, key)]
        yield made.SerializeToString()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same 50 rows in every form, files cut after row 20."""
    root = tmp_path_factory.mktemp("sources")
    table = frame()
    made = {"frame": table, "frame of lists": as_lists(table)}
    for name in ("parquet", "csv", "tfrecord", "parquet of lists"):
        (root / name).mkdir()
    for i, part in enumerate((table[:20], table[20:])):
        part.to_parquet(root / "parquet" / f"part-{i}.parquet", index=False)
        as_lists(part).to_parquet(
            root / "parquet of lists" / f"part-{i}.parquet", index=False, row_group_size=7
        )
        part.to_csv(root / "csv" / f"part-{i}.csv", index=False)
        with tf.io.TFRecordWriter(str(root / "tfrecord" / f"part-{i}.tfrecord")) as writer:
            for example in examples(part):
                writer.write(example)
    (root / "parquet" / "_SUCCESS").touch()
    (root / "parquet" / ".hidden.parquet").write_bytes(b"not parquet")
    made["arrow"] = pa.Table.from_pandas(table)
    made["folder"] = root / "parquet"
    made["folder of lists"] = str(root / "parquet of lists")
    made["glob"] = str(root / "parquet" / "part-*.parquet")
    made["files"] = [root / "parquet" / f"part-{i}.parquet" for i in range(2)]
    made["csv"] = root / "csv"
    made["tfrecord"] = root / "tfrecord"
    return made


FORMS = ["arrow", "frame of lists", "folder", "folder of lists", "glob", "files", "csv", "tfrecord"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cache", [True, False], ids=["held", "streamed"])
def test_every_source_gives_the_same_batches(sources, form, cache, monkeypatch):
    expected = whole(open_dataset(SCHEMA, sources["frame"], batch_size=16))
    if not cache:
        monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 0)
    opened = open_dataset(SCHEMA, sources[form], batch_size=16)
    same(whole(opened), expected)
    sizes = [len(weight) for _, _, weight in opened]
    assert sizes == [16, 16, 16, 2]


def test_the_batches_hold_what_the_frame_holds(sources):
    features, labels, weight = whole(open_dataset(SCHEMA, sources["frame"], batch_size=16))
    table = sources["frame"]
    assert features["user"].dtype == np.int64
    assert features["user"][3] == -1
    np.testing.assert_array_equal(features["user"][7:], table["uid"][7:].astype(np.int64))
    assert features["city"][4] == b"nowhere"
    assert set(features["city"][7:]) == {b"007", "ü b".encode(), b"NA"}
    assert features["price"][5] == np.float32(2.5)
    for i, (tags, topics) in enumerate(zip(table["tags"], table["topics"], strict=True)):
        expected = [] if tags is None or pd.isna(tags) else split(tags, str.encode)[:3]
        assert features["tags"][i].tolist() == expected + [b""] * (3 - len(expected))
        expected = [] if topics is None or pd.isna(topics) else split(topics, int)[:2]
        assert features["topics"][i].tolist() == expected + [-1] * (2 - len(expected))
    assert features["tags_weights"].shape == (50, 3)
    np.testing.assert_array_equal(features["tags_weights"] == 0, features["tags"] == b"")
    np.testing.assert_array_equal(labels["click"], table["is_click"])
    # a conversion that was recorded without a click never reaches training
    unclicked = table["is_click"] == 0
    assert table["is_buy"][unclicked].sum() > 5
    assert labels["conversion"][unclicked].sum() == 0
    np.testing.assert_array_equal(labels["conversion"][~unclicked], table["is_buy"][~unclicked])
    np.testing.assert_array_equal(weight, table["sample_weight"])


@pytest.mark.parametrize("form", ["frame", "folder", "tfrecord"])
def test_the_elements_are_as_specified(sources, form):
    dataset = open_dataset(SCHEMA, sources[form], batch_size=16)
    for spec, tensor in zip(
        tf.nest.flatten(dataset.element_spec), tf.nest.flatten(next(iter(dataset))), strict=True
    ):
        assert spec.is_compatible_with(tensor)
    assert int(dataset.cardinality()) == 4


def test_without_labels(sources):
    bare = sources["frame"].drop(columns=["is_click", "is_buy", "slot"])
    (features,) = next(iter(open_dataset(SCHEMA, bare, labels=False)))
    assert set(features) == {"user", "city", "price", "tags", "tags_weights", "topics", "slot"}
    assert set(features["slot"].numpy()) == {4}  # absent, so its serving value


def test_prepared_label_names_and_missing_weight(sources):
    table = sources["frame"].rename(columns={"is_click": "click", "is_buy": "conversion"})
    table = table.drop(columns="sample_weight")
    one, other = (whole(open_dataset(SCHEMA, t)) for t in (table, sources["frame"]))
    same((*one[:2], other[2]), other)
    assert np.all(one[2] == 1)


# -- kinds of columns -----------------------------------------------------------------------------


def first(**columns):
    table = frame(8)[:4].assign(**columns)
    return whole(open_dataset(SCHEMA, table))[0]


def test_columns_of_other_types_are_converted():
    np.testing.assert_array_equal(first(uid=[1.0, 2.0, None, 4.0])["user"], [1, 2, -1, 4])
    np.testing.assert_array_equal(first(uid=["1", " 2", "", "4.0"])["user"], [1, 2, -1, 4])
    np.testing.assert_array_equal(first(uid=np.uint8([1, 2, 3, 4]))["user"], [1, 2, 3, 4])
    np.testing.assert_array_equal(first(uid=[True, False, True, True])["user"], [1, 0, 1, 1])
    np.testing.assert_array_equal(first(price=[1, 2, 3, 4])["price"], np.float32([1, 2, 3, 4]))
    np.testing.assert_array_equal(first(price=["1.5", "", None, "4"])["price"], [1.5, 2.5, 2.5, 4])
    np.testing.assert_array_equal(first(city=[1, 2, 3, 4])["city"], [b"1", b"2", b"3", b"4"])
    categories = pd.Categorical(["a", "b", None, "a"])
    np.testing.assert_array_equal(first(city=categories)["city"], [b"a", b"b", b"nowhere", b"a"])
    assert first(uid=[None] * 4)["user"].tolist() == [-1] * 4


def test_lists_with_nulls_inside_and_a_number_alone():
    topics = first(topics=[[1, None], [None], [3], None])["topics"]
    np.testing.assert_array_equal(topics, [[1, -1], [-1, -1], [3, -1], [-1, -1]])
    topics = first(topics=[7, 8, None, 9])["topics"]
    np.testing.assert_array_equal(topics, [[7, -1], [8, -1], [-1, -1], [9, -1]])
    arrays = first(topics=[np.array([1, 2, 3])] * 4)["topics"]
    np.testing.assert_array_equal(arrays, [[1, 2]] * 4)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="uid"), "must hold the column 'uid' of feature 'user'"),
        (lambda t: t.drop(columns="tag_w"), "'tag_w', the weights of 'tags', is missing"),
        (lambda t: t.drop(columns="is_buy"), "must hold the columns 'is_click' and 'is_buy'"),
        (lambda t: t.assign(uid="x"), "column 'uid' must be int64"),
        (lambda t: t.assign(uid=1.5), "column 'uid' must be int64"),
        (lambda t: t.assign(uid=[[1]] * len(t)), "column 'uid' must be int64, received list"),
        (lambda t: t.assign(price="cheap"), "column 'price' must be float32"),
        (lambda t: t.assign(is_click=2), "label column 'is_click' must hold 0 and 1"),
        (lambda t: t.assign(is_buy=0.5), "label column 'is_buy' must hold 0 and 1"),
        (lambda t: t.assign(sample_weight=-1.0), "sample_weight must be 0 or more"),
    ],
)
def test_errors_of_a_table(change, message):
    with pytest.raises(ValueError, match=message):
        open_dataset(SCHEMA, change(frame(8)))


def test_files_whose_columns_are_of_other_types_are_named(tmp_path):
    frame(8).to_parquet(tmp_path / "a.parquet")
    frame(8).assign(price=[["dear"]] * 8).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet.* must be of one type in all files"):
        read_table([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])


def test_rows_without_the_history_that_the_schema_makes_are_refused():
    past = {"aggregates": [{"key": "user", "events": ["exposure"], "measures": ["count"]}]}
    value = SCHEMA.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"history": past}
    value["labels"] = {**value["labels"], "exposure_time": "at", "time_unit": "s"}
    with pytest.raises(ValueError, match=r"received no 'user__exposure_count__all' \(of 1 that"):
        open_dataset(Schema.parse(value), frame(8))


def test_errors_of_files_and_options(tmp_path, sources):
    def refuses(message, source=None, **options):
        with pytest.raises(ValueError, match=message):
            open_dataset(SCHEMA, sources["frame"] if source is None else source, **options)

    refuses("batch_size: must be 1 or more, received 0", batch_size=0)
    refuses("reader: must be 'pyarrow' or", reader="fast")
    refuses("no Parquet, CSV or TFRecord file found", tmp_path)
    refuses("no Parquet, CSV or TFRecord file found", str(tmp_path / "*.parquet"))
    (tmp_path / "a.txt").write_text("x")
    refuses("must all end in one of", tmp_path / "a.txt")
    (tmp_path / "a.parquet").write_text("x")
    refuses(r"a\.parquet cannot be read", tmp_path / "a.parquet")
    refuses("must all end in one of", [tmp_path / "a.parquet", *sources["csv"].glob("*")])
    (tmp_path / "a.csv").write_text("uid,city\n1\n")
    refuses(r"a\.csv line 2: 1 fields, the header has 2", tmp_path / "a.csv")
    (tmp_path / "a.tfrecord").write_text("x" * 40)
    refuses(r"a\.tfrecord.* cannot be read", tmp_path / "a.tfrecord")
    refuses("reads Parquet here, received csv", sources["csv"], reader="tensorflow-io")


def test_rows_without_their_history_are_refused(shop):
    """The log as it was recorded, without what each user clicked before."""
    told = r"^source: must hold the history features of the schema, received no 'clicks__brand' "
    with pytest.raises(ValueError, match=told + r"\(of 3 that are missing\);\nadd them with"):
        open_dataset(shop.schema, shop.log, batch_size=8)


def test_files_without_a_row_are_refused(tmp_path):
    (tmp_path / "day.tfrecord").touch()
    with pytest.raises(ValueError, match=r"^source: the files hold no row; check the path\.$"):
        open_dataset(SCHEMA, tmp_path / "day.tfrecord", batch_size=8, shuffle=True)
    with pytest.raises(ValueError, match=r"^source: TFRecord has no table form; open it with"):
        read_table(tmp_path / "day.tfrecord")
