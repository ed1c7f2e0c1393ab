"""Records that exposures share: made once, counted as often as they are named, put beside rows."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.preparation.engine import Engine
from pipelines.preparation.parquet_slices import Slices
from pipelines.preparation.shared_records import shared
from pipelines.preparation.value_counts import ValueCounts
from pipelines.preparation.wide_joins import Side

USER = {"side": "user", "kind": "vocabulary"}
SCHEMA = Schema.model_validate(
    {
        "name": "tiny",
        "labels": {"click": "click", "conversion": "bought"},
        "features": [
            {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"},
            {"name": "age", "column": "years", "dtype": "int64", **USER},
            {"name": "score", "dtype": "float32", "side": "user", "kind": "numeric"},
            {"name": "shops", "weights": "loads", "dtype": "int64", "max_length": 2, **USER},
            {"name": "words", "dtype": "string", "max_length": 2, "missing": "none", **USER},
        ],
    }
)
NULL = None
#: Exposures of two users, of one without a record, and of one without a key.
ROWS = {
    "row_id": [0, 1, 2, 3, 4, 5],
    "user": ["b", "a", "b", "zz", NULL, "b"],
    "item": [7, 7, 8, 8, 7, 9],
    "click": [0] * 6,
    "bought": [0] * 6,
    "part": ["train"] * 5 + ["test"],
}
USERS = {
    "user": ["a", "b", "c"],
    "years": [30, 40, 50],
    "score": [0.5, NULL, 1.5],
    "shops": [[1, 2, 3], [1], [4]],
    "loads": [[0.1, 0.2, 0.3], [0.5], [0.4]],
    "words": [["x"], [], ["y"]],
}
WANTED = {
    "age": [40, 30, 40, -1, -1],
    "score": [NULL, 0.5, NULL, NULL, NULL],
    "shops": [[1], [1, 2], [1], [], []],
    "shops_weights": [[0.5], [0.1, 0.2], [0.5], [], []],
    "words": [["none"], ["x"], ["none"], ["none"], ["none"]],
}


@pytest.fixture
def schema(request):
    """The tiny schema; a test may give some features other names."""
    renamed = getattr(request, "param", {})
    given = SCHEMA.model_dump(exclude_unset=True)
    for feature in given["features"]:
        feature["column"] = feature.get("column", feature["name"])
        feature["name"] = renamed.get(feature["name"], feature["name"])
    return Schema.model_validate(given)


@pytest.fixture
def made(tmp_path, schema):
    """The engine, the exposures and their records."""
    for name, table in (("rows", ROWS), ("users", USERS)):
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    (tmp_path / "work").mkdir()
    with Engine(tmp_path / "work", memory="500MB", threads=1) as engine:
        rows, users = (engine.read_all([tmp_path / f"{n}.parquet"]) for n in ("rows", "users"))
        sides = [Side(users, ("user",))]
        yield engine, rows, shared(engine, rows, sides, schema, ("train", "test"))


@pytest.mark.parametrize("slice_rows", [1, 2, 1000], ids=["read_by_slice", "two", "kept"])
def test_rows_take_the_columns_of_their_record(made, schema, tmp_path, slice_rows):
    engine, rows, records = made
    slices = Slices(engine, rows, records, schema, slice_rows)
    slices.write(tmp_path / "out", ("train", "test"), 4, Console(quiet=True))
    files = sorted((tmp_path / "out" / "train").glob("*.parquet"))
    assert [pq.read_metadata(file).num_rows for file in files] == [4, 1]
    found = pa.concat_tables(map(pq.read_table, files))
    assert found["row_id"].to_pylist() == [0, 1, 2, 3, 4]
    assert found["item"].to_pylist() == [7, 7, 8, 8, 7]
    for name, values in WANTED.items():
        assert repr(found[name].to_pylist()) == repr(
            pa.array(values, found.schema.field(name).type).to_pylist()
        )
    names = ["row_id", "item", "age", "score", "shops", "shops_weights", "words"]
    assert found.column_names == [*names, "click", "conversion"]


def test_a_value_counts_for_every_exposure_of_its_record(made, schema):
    _, rows, records = made
    parts = {part: rows.filter(rows["part"] == part) for part in ("train", "test")}
    counts = ValueCounts(parts, records=records)
    features = {feature.name: feature for feature in schema.features}

    def counted(part, name):
        table = counts.of(part, features[name])
        return dict(zip(table["value"].to_pylist(), table["rows"].to_pylist(), strict=True))

    # user b stands on two exposures of train, a on one; two exposures have no record
    assert counted("train", "age") == {40: 2, 30: 1}
    assert counted("train", "shops") == {1: 3, 2: 1}
    assert counted("train", "words") == {"none": 4, "x": 1}
    assert counted("test", "age") == {40: 1}
    assert counted("train", "item") == {7: 3, 8: 2}


def test_only_records_that_exposures_name_are_kept(made):
    _, _, (records,) = made
    found = records.of_part("train").select("user", records.record).to_pyarrow().to_pylist()
    assert {row["user"] for row in found} == {"a", "b", "zz", NULL}
    assert len({row[records.record] for row in found}) == 4


NAMES = [("number", "rows", "record0"), ("record0_rows", "record0_rows0", "record0_made_age")]


@pytest.mark.parametrize(
    ("schema", "names"),
    [(dict(zip(("age", "score", "words"), names, strict=True)), names) for names in NAMES],
    indirect=["schema"],
)
def test_features_may_have_names_of_our_own_columns(made, schema, names, tmp_path):
    engine, rows, records = made
    Slices(engine, rows, records, schema, 2).write(
        tmp_path / "out", ("train", "test"), 9, Console(quiet=True)
    )
    (file,) = (tmp_path / "out" / "train").glob("*.parquet")
    found = pq.read_table(file)
    assert found[names[0]].to_pylist() == WANTED["age"]
    assert found[names[2]].to_pylist() == WANTED["words"]
    counts = ValueCounts({"train": rows.filter(rows["part"] == "train")}, records=records)
    table = counts.of("train", next(f for f in schema.features if f.name == names[0]))
    assert dict(zip(*(table[c].to_pylist() for c in ("value", "rows")), strict=True)) == {
        40: 2,
        30: 1,
    }
