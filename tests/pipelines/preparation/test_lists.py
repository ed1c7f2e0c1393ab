"""One list, one meaning: prepared parts, DataFrame, CSV, TFRecord, client and graph agree."""

import re

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.data import open_dataset, to_arrays
from idefn_tf.data.readers.tfrecord import parse_examples
from idefn_tf.features import FeatureColumns
from idefn_tf.schema import Schema
from idefn_tf.schema import lists as meaning
from pipelines.preparation import checks, encode
from pipelines.preparation.engine import Engine
from serving.common.request import RequestBuilder

KINDS = {"int64": pa.int64(), "string": pa.string()}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Engine(tmp_path_factory.mktemp("work"), memory="500MB", threads=1) as engine:
        yield engine


def schema_of(dtype="int64", missing=None, **more):
    feature = {"name": "x", "dtype": dtype, "side": "item", "kind": "hash", "num_buckets": 1000,
               "max_length": 3, "weights": "w", "missing": missing, **more}  # fmt: skip
    labels = {"click": "o", "conversion": "r"}
    return Schema.parse({"name": "s", "labels": labels, "features": [feature]})


def columns_of(schema, cells, loads):
    """The raw columns as Arrow: lists where one cell is a list, else text."""
    listed = any(isinstance(cell, list) for cell in (*cells, *(loads or ())))
    kind = KINDS[schema.features[0].dtype]
    made = {"x": pa.array(cells, pa.list_(kind) if listed else pa.string())}
    if loads is not None:
        made["w"] = pa.array(loads, pa.list_(pa.float64()) if listed else pa.string())
    return made


def through_preparation(engine, schema, cells, loads):
    n = len(cells)
    more = {"o": [1] * n, "r": [0] * n, "part": ["all"] * n, "row_id": list(range(n))}
    made = pa.table({**columns_of(schema, cells, loads), **more})
    table = engine.keep(ibis.memtable(made))
    report = checks.Report()
    checks.validate(table, schema, ("row_id",), report)
    report.raise_if_failed()
    prepared = table.select(**encode.prepared_columns(table, schema)).order_by("row_id")
    return to_arrays(schema, prepared.to_pyarrow(), labels=False)


def through_a_frame(engine, schema, cells, loads):
    frame = pa.table(columns_of(schema, cells, loads)).to_pandas()
    return next(iter(open_dataset(schema, frame, labels=False).as_numpy_iterator()))[0]


def through_the_client(engine, schema, cells, loads):
    rows = [{"x": cell} for cell in cells]
    for row, load in zip(rows, loads or (), strict=False):
        row["w"] = load
    columns = RequestBuilder.from_schema(schema).columns(rows)
    if "x_weights" in columns:
        columns["x_weights"] = np.asarray(columns["x_weights"], np.float32)
    return {**columns, "x": np.asarray(columns["x"])}


def through_tfrecord(engine, schema, cells, loads):
    feature = schema.features[0]
    text = feature.dtype == "string"
    examples = []
    for row, cell in enumerate(cells):
        made = {"x": of_cell(cell, feature, str if text else int)}
        entries = [meaning.PADDING[feature.dtype] if e is None else e for e in made["x"]]
        kind = {"int64_list": None if text else tf.train.Int64List(value=entries)}
        if text:
            kind = {"bytes_list": tf.train.BytesList(value=[e.encode() for e in entries])}
        named = {"x": tf.train.Feature(**kind)}
        if loads is not None:
            weights = [np.nan if w is None else w for w in of_cell(loads[row], feature, float)]
            named["x_weights"] = tf.train.Feature(float_list=tf.train.FloatList(value=weights))
        example = tf.train.Example(features=tf.train.Features(feature=named))
        examples.append(example.SerializeToString())
    parsed = parse_examples(schema, tf.constant(examples))
    return {name: value.numpy() for name, value in parsed.items()}


def of_cell(cell, feature, convert):
    if not isinstance(cell, str):
        # blank text is missing where text is read; TFRecord's writer leaves it out
        return [None if isinstance(e, str) and not e.strip() else e for e in cell or []]
    pieces = meaning.split(cell, meaning.separator_of(feature))
    return [convert(piece) if piece else None for piece in pieces]


DOORS = (through_preparation, through_a_frame, through_the_client, through_tfrecord)


def plain(arrays):
    """Arrays as lists of Python values."""
    return {
        name: [[v.decode() if isinstance(v, bytes) else v for v in row] for row in values.tolist()]
        for name, values in arrays.items()
    }


def entries_of(dtype):
    if dtype == "int64":
        return st.integers(-2, 50)
    return st.text("ab é", max_size=3)


@st.composite
def tables(draw):
    dtype = draw(st.sampled_from(["int64", "string"]))
    listed, weighted = draw(st.booleans()), draw(st.booleans())
    missing = draw(st.sampled_from([None, 0, 7] if dtype == "int64" else [None, "none"]))
    separator = draw(st.sampled_from([None, ",", ";", "|"]))
    schema = schema_of(
        dtype, missing, separator=separator, **({} if weighted else {"weights": None})
    )
    entry = st.one_of(entries_of(dtype), st.none())
    place = st.tuples(entry, st.sampled_from([0.0, 0.25, 1.0, 3.0]))
    rows = draw(st.lists(st.one_of(st.none(), st.lists(place, max_size=5)), min_size=1, max_size=5))
    cells = [None if row is None else [e for e, _ in row] for row in rows]
    loads = [None if row is None else [w for _, w in row] for row in rows]
    if not listed:
        blanks = st.sampled_from(["", " ", "\t"])

        def text(cell):
            if cell is None:
                return None
            pieces = ["" if e is None else f"{draw(blanks)}{e}{draw(blanks)}" for e in cell]
            return (separator or ",").join(pieces)

        cells, loads = [text(cell) for cell in cells], [text(load) for load in loads]
        for i, cell in enumerate(cells):  # blank text is an empty list, of no weight
            loads[i] = loads[i] if cell is not None and cell.strip() else ""
    return schema, cells, loads if weighted else None


@given(tables())
@settings(max_examples=25, deadline=None)
def test_generated_lists_are_the_same_through_every_door(engine, made):
    schema, cells, loads = made
    first, *others = (plain(door(engine, schema, cells, loads)) for door in DOORS)
    for other in others:
        assert other == first


@pytest.mark.parametrize("weights", ["w", None])
@pytest.mark.parametrize(("dtype", "missing"), [("int64", 7), ("string", "none")])
def test_the_graph_takes_a_list_of_padding_for_an_empty_one(dtype, missing, weights):
    schema = schema_of(dtype, missing, weights=weights)
    layer = FeatureColumns.from_schema(schema, {})
    padding = meaning.PADDING[dtype]
    rows = [[padding] * 3, [missing, padding, padding], [padding, missing, padding]]
    features = {"x": tf.constant(rows)}
    if weights:
        features["x_weights"] = tf.constant([[0.0, 0, 0], [1, 0, 0], [0, 0, 0]])
    features = {k: tf.cast(v, dtype) if k == "x" and dtype == "int64" else v
                for k, v in features.items()}  # fmt: skip
    ids, coefficients = (
        next(v.numpy() for v in tf.nest.flatten(layer.encode(features)) if v.dtype == kind)
        for kind in (tf.int32, tf.float32)
    )
    assert ids[0].tolist() == ids[1].tolist()
    assert ids[0][0] > 0
    assert coefficients[:2].tolist() == [[1.0, 0.0, 0.0]] * 2
    assert coefficients[2].tolist() == ([0.0, 0.0, 0.0] if weights else [0.0, 1.0, 0.0])


NAMED = [
    (None, None, [], []),
    ("", "", [], []),
    ("", None, [], []),
    (" \t", " ", [], []),
    (",", "1,2", [], []),
    (" 4 , 5 ", " 1 , 2 ", [4, 5], [1.0, 2.0]),
    ("1,,2", "1,,3", [1, 2], [1.0, 3.0]),
    ("1,,2", "1,9,3", [1, 2], [1.0, 3.0]),
    ("1,2,", "1,3,", [1, 2], [1.0, 3.0]),
    ("-1,6", "8,9", [6], [9.0]),
    ("1,2,3,4", "1,2,3,4", [1, 2, 3], [1.0, 2.0, 3.0]),
    (",1,2,3,4", ",1,2,3,4", [1, 2, 3], [1.0, 2.0, 3.0]),
]


@pytest.mark.parametrize("missing", [None, 7])
@pytest.mark.parametrize(("cell", "load", "entries", "weights"), NAMED)
def test_named_cells(engine, tmp_path, cell, load, entries, weights, missing):
    if missing is not None and not entries:
        entries, weights = [missing], [1.0]
    rest = 3 - len(entries)
    expected = {"x": [entries + [-1] * rest], "x_weights": [weights + [0.0] * rest]}
    schema = schema_of(missing=missing)
    for door in DOORS:
        assert plain(door(engine, schema, [cell], [load])) == expected, door.__name__
    pd.DataFrame({"x": [cell, "1"], "w": [load, "1"]}).to_csv(tmp_path / "a.csv", index=False)
    found = next(iter(open_dataset(schema, tmp_path / "a.csv", labels=False).as_numpy_iterator()))
    assert plain({name: values[:1] for name, values in found[0].items()}) == expected


@pytest.mark.parametrize(
    ("cell", "load", "rule"),
    [
        ("1,,2", "1,3", "must hold one weight for each entry of x"),
        ("1,2", None, "must hold one weight for each entry of x"),
        (None, "1", "must hold one weight for each entry of x"),
        ("1,2", "1,", "must be a finite number"),
        ([1, 2], [1.0], "must hold one weight for each entry of x"),
        ([1, 2], [1.0, None], "must be a finite number"),
        ([1, 2], [1.0, np.inf], "must be (a finite number|float32)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_every_door(engine, cell, load, rule):
    good = ("1", "1") if isinstance(cell or load, str) else ([1], [1.0])
    for door in DOORS:
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=rule):
            door(engine, schema_of(), [good[0], cell], [good[1], load])


def test_the_message_names_columns_row_and_both_lists(engine):
    cells, loads = ["1", "1,,2"], ["1", "1,3"]
    said = r"w: must hold one weight for each entry of x, received '1,3' for '1,,2' in row 1; "
    with pytest.raises(ValueError, match=said):
        through_a_frame(engine, schema_of(), cells, loads)
    with pytest.raises(ValueError, match=r"w: must hold .* such as w='1,3', x='1,,2', row_id=1\)"):
        through_preparation(engine, schema_of(), cells, loads)
    with pytest.raises(ValueError, match=r"received \[1.0, 3.0\] for \[1, None, 2\] in row 1; "):
        through_the_client(engine, schema_of(), cells, loads)
    said = r"x_weights: must hold one weight for each entry of x, received.*1.0, 3.0.*1, -1, 2"
    with pytest.raises(tf.errors.InvalidArgumentError, match="x_weights: must hold") as caught:
        through_tfrecord(engine, schema_of(), [[1], [1, None, 2]], [[1.0], [1.0, 3.0]])
    assert re.search(said, str(caught.value), re.DOTALL)


@pytest.mark.parametrize("dtype", ["int64", "string"])
def test_a_sequence_that_is_too_long_keeps_its_newest_events(engine, dtype):
    """Rows that hold lists of their own: two, three and five events of which three are read."""
    user = {"name": "u", "dtype": "int64", "side": "user", "kind": "vocabulary"}
    item = {"name": "x", "dtype": dtype, "side": "item", "kind": "hash", "num_buckets": 9}
    clicks = {"name": "c", "key": "u", "condition": "clicked", "items": ["x"], "length": 3}
    schema = Schema.parse(
        {
            "name": "s",
            "labels": {"click": "o", "conversion": "r", "exposure_time": "t"},
            "features": [user, item],
            "sequences": [clicks],
        }
    )
    of = str if dtype == "string" else int
    cells = [[of(e) for e in events] for events in ([1, 2], [1, 2, 3], [1, 2, 3, 4, 5])]
    blank = "" if dtype == "string" else -1
    expected = [[of(1), of(2), blank], [of(1), of(2), of(3)], [of(3), of(4), of(5)]]
    kind = pa.list_(KINDS[dtype])
    rows = pa.table({"u": [1, 1, 1], "x": [of(9)] * 3, "c__x": pa.array(cells, kind)})
    assert plain({"x": to_arrays(schema, rows, labels=False)["c__x"]})["x"] == expected
    sent = RequestBuilder.from_schema(schema).columns(rows.to_pylist())["c__x"]
    assert plain({"x": np.asarray(sent)})["x"] == expected
    alone = schema.model_copy(update={"features": (schema.feature("c__x"),)})
    assert alone.generated == {"c__x"}
    found = through_tfrecord(engine, schema_of(dtype, weights=None), cells, None)["x"]
    assert plain({"x": found})["x"][2] == [of(1), of(2), of(3)]  # any other list keeps its first
    examples = [
        tf.train.Example(features=tf.train.Features(feature={"c__x": held(cell)})) for cell in cells
    ]
    parsed = parse_examples(alone, tf.constant([e.SerializeToString() for e in examples]))
    assert plain({"x": parsed["c__x"].numpy()})["x"] == expected


def held(cell):
    if isinstance(cell[0], str):
        entries = tf.train.BytesList(value=[entry.encode() for entry in cell])
        return tf.train.Feature(bytes_list=entries)
    return tf.train.Feature(int64_list=tf.train.Int64List(value=cell))
