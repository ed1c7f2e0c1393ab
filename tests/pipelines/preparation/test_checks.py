"""Checks of raw values, against tables small enough to see."""

import math

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.schema import Feature, Schema
from pipelines.preparation import checks, encode, text_forms
from pipelines.preparation.engine import Engine
from pipelines.preparation.wide_joins import Side

LABELS = {"click": "click", "conversion": "buy"}
TEXTS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.integers(-1000, 1000).map(lambda n: f"{n}.0"),
    st.integers(-1000, 1000).map(lambda n: f" {n} "),
    st.sampled_from(["", " ", "x", "1_0", "1.5", "0x10", "nan", "12,65", "4e1", "-0.0"]),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Engine(tmp_path_factory.mktemp("work"), memory="500MB", threads=1) as engine:
        yield engine


def table_of(engine, columns):
    return engine.keep(ibis.memtable(pa.table(columns)))


def schema_of(**feature):
    base = {"name": "x", "dtype": "int64", "side": "user", "kind": "vocabulary"}
    labels = {"name": "made", "labels": LABELS, "features": [{**base, **feature}]}
    return Schema.parse({**labels, "labels": {"click": "o", "conversion": "r"}})


def found(engine, values, clicks=None, likes=None, loads=None, **feature):
    n = len(values)
    columns = {"x": values, "o": clicks or [1] * n, "r": likes or [0] * n, "part": ["all"] * n}
    if loads is not None:
        columns["w"] = loads
    report = checks.Report()
    table = table_of(engine, {**columns, "id": list(range(n))})
    checks.validate(table, schema_of(**feature), ("id",), report)
    return report


@given(st.lists(TEXTS, min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_text_is_read_as_a_whole_number_or_is_unreadable(engine, texts):
    table = table_of(engine, {"x": pa.array(texts, pa.string())})
    rows = table.select(
        x=table.x,
        value=text_forms.as_dtype(table.x, "int64"),
        bad=text_forms.unreadable(table.x, "int64"),
    )
    for row in rows.to_pyarrow().to_pylist():
        text, value = row["x"].strip(), row["value"]
        try:
            number = float(text) if "_" not in text else None
        except ValueError:
            number = None
        fits = number is not None and math.isfinite(number) and number == int(number)
        if fits and abs(number) < 2**53:
            assert value == int(number), row
            assert not row["bad"]
        elif not fits:
            assert value is None, row
            assert bool(row["bad"]) == (text not in ("", "nan")), row


def test_large_ids_keep_every_digit(engine):
    ids = ["9007199254740993", "9223372036854775807", "-9223372036854775808"]
    table = table_of(engine, {"x": [*ids, "9223372036854775808"]})
    values = table.select(v=text_forms.as_dtype(table.x, "int64")).to_pyarrow()["v"].to_pylist()
    assert values == [int(text) for text in ids] + [None]


def test_floats_with_nan_are_missing_integers(engine):
    table = table_of(engine, {"x": [4.0, float("nan"), None, 1.5]})
    rows = table.select(
        v=text_forms.as_dtype(table.x, "int64"), bad=text_forms.unreadable(table.x, "int64")
    )
    assert rows.to_pyarrow().to_pylist() == [
        {"v": 4, "bad": False},
        {"v": None, "bad": False},
        {"v": None, "bad": False},
        {"v": None, "bad": True},
    ]


def test_lists_are_split_stripped_and_typed(engine):
    table = table_of(engine, {"x": ["12, 65", "", None, "7,,8", "a,1"]})
    feature = Feature(
        name="x", dtype="int64", side="user", kind="hash", num_buckets=9, max_length=4
    )
    rows = table.select(v=encode.entries(table, feature)).to_pyarrow()["v"].to_pylist()
    assert rows == [[12, 65], [], [], [7, 8], [None, 1]]


def test_a_clean_table_passes_and_missing_rates_are_told(engine):
    report = found(engine, [3, None, 5, None], minimum=0, maximum=9, max_missing_rate=0.5)
    assert report.findings == []
    assert report.missing == {"all": {"x": 0.5}}
    report.raise_if_failed()


@pytest.mark.parametrize(
    ("values", "feature", "rule", "rows"),
    [
        ([1, -2, None], {"minimum": 0}, "must be at least 0", 1),
        ([1, 12, 13], {"maximum": 11}, "must be at most 11", 2),
        ([1.0, math.inf], {"dtype": "float32", "kind": "numeric"}, "must be finite", 1),
        ([1.0, -1.0], {"dtype": "float32", "kind": "numeric", "log1p": True}, "0 or more", 1),
        ([1, None, None], {"max_missing_rate": 0.5}, "missing on 50.00% of rows at most", 2),
        ([[1, 2], [3, 40]], {"max_length": 2, "maximum": 9}, "every entry must be at most 9", 1),
        ([[1], [-3]], {"max_length": 2, "minimum": 0}, "every entry must be at least 0", 1),
        (["1,2", "3,b"], {"max_length": 2, "separator": ","}, "every entry must be int64", 1),
    ],
)
def test_every_rule_finds_its_rows(engine, values, feature, rule, rows):
    report = found(engine, values, **feature)
    assert [(f.column, f.rows) for f in report.findings] == [("x", rows)]
    assert rule in report.findings[0].rule
    with pytest.raises(ValueError, match="1 rules of the schema are broken"):
        report.raise_if_failed()


def test_labels_must_be_zero_or_one(engine):
    report = found(engine, [1, 1, 1], clicks=[0, 1, 2], likes=[0, None, 1])
    assert [(f.column, f.rows) for f in report.findings] == [("o", 1), ("r", 1)]
    assert report.findings[0].examples == ("o=2, id=2",)


def test_weights_must_match_their_lists(engine):
    feature = {"max_length": 2, "weights": "w"}
    ok = found(engine, [[1, 2], None, []], loads=[[0.5, 1.0], None, []], **feature)
    assert ok.findings == []
    short = found(engine, [[1, 2], [3]], loads=[[0.5], [1.0]], **feature)
    assert [f.rule for f in short.findings] == ["must hold one weight for each entry of x"]
    odd = found(engine, [[1], [2]], loads=[[math.inf], [1.0]], **feature)
    assert [f.rule for f in odd.findings] == ["every weight must be a finite number"]


def test_long_lists_are_counted(engine):
    report = found(engine, [[1, 2, 3], [1], [4, 5, 6, 7]], max_length=2)
    assert report.shortened == {"x": 2}
    assert report.findings == []


def test_a_repeated_key_is_found_and_shown(engine):
    report = checks.Report()
    table = table_of(engine, {"id": pa.array([1, 2, 2, None, None, 3, 3, 3])})
    checks.unique_key(table, "id", "users.csv", report)
    assert report.findings[0].rows == 2
    assert report.findings[0].examples == ("id=2 on 2 rows", "id=3 on 3 rows")


def test_an_absent_column_is_named_with_the_cure(engine):
    table = table_of(engine, {"a": [1]})
    with pytest.raises(ValueError, match=r"log\.csv: the columns \['b'\] must be there") as caught:
        checks.typed(table, {"a": "int64", "b": "int64"}, "log.csv", checks.Report())
    assert "give the complete raw file" in str(caught.value)


def test_a_csv_is_read_as_text_and_other_endings_are_refused(engine, tmp_path):
    (tmp_path / "a.csv").write_text('id,range\n007,"(1,2]"\n')
    assert engine.read(tmp_path / "a.csv").to_pyarrow().to_pylist() == [
        {"id": "007", "range": "(1,2]"}
    ]
    with pytest.raises(ValueError, match=r"must end in \.csv or \.parquet"):
        engine.read(tmp_path / "a.txt")


def test_batches_stream_in_order(engine):
    frame = pd.DataFrame({"x": range(10_000)}).sample(frac=1, random_state=0)
    table = table_of(engine, {"x": frame["x"].to_numpy()})
    batches = list(engine.batches(table.order_by("x"), 2048))
    assert len(batches) > 1
    assert [v for batch in batches for v in batch["x"].to_pylist()] == list(range(10_000))


def test_settings_that_the_engine_refuses_are_a_users_error(tmp_path):
    with pytest.raises(ValueError, match="opening the engine"):
        Engine(tmp_path, memory="much")


def test_rules_of_a_joined_table_are_counted_on_its_records_and_shown_on_exposures(engine):
    users = table_of(engine, {"user": [1, 2, 3], "x": [5, -7, -9]})
    log = table_of(engine, {"user": [2, 1, 2, 4, None], "o": [1] * 5, "r": [0] * 5,
                            "part": ["all"] * 5, "id": [10, 11, 12, 13, 14]})  # fmt: skip
    wide = log.left_join(users, "user").drop("user_right")
    side = Side(users, ("user",), joined=True)
    report = checks.Report()
    checks.validate(wide, schema_of(minimum=0), ("id",), report, (side,))
    (finding,) = report.findings
    # user 3 has no exposure; users 4 and null have no record
    assert (finding.column, finding.rows) == ("x", 2)
    assert sorted(finding.examples) == ["x=-7, id=10", "x=-7, id=12"]
    assert report.missing == {"all": {"x": 2 / 5}}
    alone = checks.Report()
    checks.validate(wide, schema_of(minimum=0), ("id",), alone)
    assert (alone.findings[0].rows, alone.missing, alone.rules) == (2, report.missing, report.rules)


def test_a_number_written_plainly_is_a_missing_word_where_the_schema_says_so(engine):
    texts = ["-1", " -1 ", "7", "007", "+7", "7.0", "9223372036854775807", "", None]
    table = table_of(engine, {"x": pa.array(texts, pa.string())})
    asked = {
        "value": text_forms.as_dtype(table.x, "int64", ["-1"]),
        "bad": text_forms.unreadable(table.x, "int64", ["-1"]),
    }
    found = table.select(**asked).to_pyarrow()
    assert found["value"].to_pylist() == [None, None, 7, 7, 7, 7, 2**63 - 1, None, None]
    assert found["bad"].to_pylist() == [False] * 9
