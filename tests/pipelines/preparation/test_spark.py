"""Preparation on Spark, in local mode: the same rows, vocabularies and card as on DuckDB."""

import json
import random
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.schema import Feature, Schema
from pipelines.datasets.ali_ccp import ali_ccp
from pipelines.preparation import checks, encode, text_forms, times
from pipelines.preparation.engine import Engine
from pipelines.preparation.engines import connect
from pipelines.prepare import Settings, main, prepare

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    # PySpark leaves the sockets over which results come to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]
pytest.importorskip("pyspark", reason="PySpark is not installed (requirements/spark.in)")
if shutil.which("java") is None:
    pytest.skip("there is no Java on PATH", allow_module_level=True)

ROOT = Path(__file__).parents[3]
MADE = ROOT / "tests" / "data" / "kuairand_made"
LIST = Feature(
    name="x", dtype="int64", side="item", kind="hash", num_buckets=9, max_length=3, separator=","
)
SPARK = Settings(engine="spark", threads=2, memory="1GB")
TEXTS = [
    "1", "-7", " 12 ", "4.0", "1.5", "1e3", "4e1", "-0.0", ".5", "5.", "+3", "007", "1_0", "0x10",
    "0x1p3", "1d", "2f", "3.0F", "4L", "nan", "NaN", "inf", "-Infinity", "", " ", "x", "12,65",
    "1 2", "9007199254740993", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "1e400", "1e-400", "٣", None,
]  # fmt: skip


def schema_of(name, *features):
    """A shipped schema with some of its features, and others as mappings."""
    value = Schema.load(ROOT / "schemas" / f"{name}.yaml").model_dump(
        mode="json", exclude_defaults=True
    )
    shipped = {feature["name"]: feature for feature in value["features"]}
    value["features"] = [shipped[f] if isinstance(f, str) else f for f in features]
    return Schema.parse(value)


def same(one, two):
    """Compares everything that two prepared folders hold."""
    assert one.parts == two.parts
    for part in one.parts:
        assert one.table(part).num_rows > 0
        assert two.table(part).equals(one.table(part))
        assert two.report_table(part).equals(one.report_table(part))
    files = sorted(path.name for path in one.vocabularies.iterdir())
    assert sorted(path.name for path in two.vocabularies.iterdir()) == files != []
    for name in files:
        texts = [(p.vocabularies / name).read_text() for p in (one, two)]
        assert texts[1] == texts[0], name
    cards = [{k: v for k, v in p.card.items() if k != "files"} for p in (one, two)]
    assert json.dumps(cards[1], sort_keys=True) == json.dumps(cards[0], sort_keys=True)


def test_kuairand_is_the_same_row_by_row(tmp_path):
    seconds = {"name": "seconds", "column": "video_duration", "dtype": "float32", "side": "item",
               "kind": "numeric", "log1p": True}  # fmt: skip
    names = ("user_id", "user_active_degree", "onehot_feat4", "video_id", "tag", "hour", "tab")
    schema = schema_of("kuairand_pure", *names, seconds)
    one = prepare("kuairand_pure", MADE, tmp_path / "duckdb", schema=schema)
    two = prepare("kuairand_pure", MADE, tmp_path / "spark", schema=schema, settings=SPARK)
    assert two.card["duplicates_dropped"] == 9
    same(one, two)


def feature(rng, field):
    entries = rng.randrange(0, 6) if field in ("110_14", "210") else rng.randrange(0, 2)
    return [f"{field}\x02{i}\x03{rng.random():.5f}" for i in rng.sample(range(40), entries)]


def line(rng, head, fields):
    features = [text for field in fields for text in feature(rng, field)]
    joined = "\x01".join(features)
    return f"{head},{len(features)},{joined}\n"


def test_ali_ccp_is_the_same_row_by_row_over_slices(tmp_path):
    rng, raw = random.Random(3), tmp_path / "raw"
    raw.mkdir()
    for origin, rows in (("train", 120), ("test", 30)):
        common = [line(rng, f"key{i}", ("101", "110_14")) for i in range(9)]
        common.append(common[0])  # a repeated record
        (raw / f"common_features_{origin}.csv").write_text("".join(common))
        skeleton = [
            line(rng, f"{i},{i % 2},{i % 3 // 2},key{rng.randrange(10)}", ("205", "210"))
            for i in range(rows)
        ]
        (raw / f"sample_skeleton_{origin}.csv").write_text("".join(skeleton))
    schema = schema_of("ali_ccp", "user_id", "user_shops", "item_id", "item_intentions")
    shops = schema.feature("user_shops").model_copy(update={"max_length": 3})
    features = tuple(shops if f.name == "user_shops" else f for f in schema.features)
    schema = schema.model_copy(update={"features": features})
    one = prepare("ali_ccp", raw, tmp_path / "duckdb", schema=schema)
    settings = Settings(engine="spark", threads=2, slice_rows=50)
    two = prepare("ali_ccp", raw, tmp_path / "spark", schema=schema, settings=settings)
    assert two.card["checks"]["shortened_lists"]["user_shops"] > 0
    same(one, two)
    assert {p.name for p in tmp_path.iterdir()} == {"raw", "duckdb", "spark"}


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    with Engine(work, threads=1) as duck, connect("spark", work, "1GB", 2) as spark:
        yield duck, spark


@pytest.mark.parametrize("separator", [*"|.^$[]\\*+?(){} ;,-/&", "::", "a|b", ".*", "\t"])
def test_a_separator_is_text_on_both_engines(engines, tmp_path, separator):
    path = tmp_path / "lists.parquet"
    texts = ["1", separator.join(["1", "2", "3"]), separator.join(["", "7"]), "", None]
    pq.write_table(pa.table({"i": range(len(texts)), "x": pa.array(texts)}), path)
    feature = LIST.model_copy(update={"separator": separator})
    for engine in engines:
        table = engine.read(path)
        rows = table.select("i", x=encode.entries(table, feature)).order_by("i").to_pyarrow()
        assert rows["x"].to_pylist() == [[1], [1, 2, 3], [7], [], []]


def test_texts_are_read_alike(engines, tmp_path):
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"i": range(len(TEXTS)), "x": pa.array(TEXTS)}), path)
    found = []
    for engine in engines:
        table = engine.read(path)
        read = {
            f"{dtype}_{what}": rule(table["x"], dtype)
            for dtype in ("int64", "float32", "string")
            for what, rule in (("value", text_forms.as_dtype), ("bad", text_forms.unreadable))
        }
        lists = encode.entries(table, LIST)
        split = {"count": lists.length(), "first": lists[:1], "rest": lists[1:].length()}
        rows = table.select("i", "x", **read, **split).order_by("i")
        found.append([row for b in engine.batches(rows, 7) for row in b.to_pylist()])
    for duck, spark in zip(*found, strict=True):
        assert repr(spark) == repr(duck)
    values = {row["x"]: row["int64_value"] for row in found[0]}
    assert values["1e3"] == 1000
    assert values["9007199254740993"] == 9007199254740993
    assert values["1_0"] is values["1d"] is values["4L"] is None


def test_times_are_read_alike(engines, tmp_path):
    """Texts with and without an offset, and typed times of every unit, in UTC and another zone."""
    written = json.loads((ROOT / "tests" / "data" / "times.json").read_text())
    known = written["milliseconds"]
    written = [*known, *written["none"], *TEXTS, "31.3.2024 2:30", "2024-10-27T02:30", "2024-07-01"]
    instants = [1714557600600999999, -1, 1714607999600000000, 1729989000000000000, None]
    files = {"text": pa.array(written), "date": pa.array([date(2024, 7, 1), None])}
    for unit, per in (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)):
        for zone in (None, "Asia/Tokyo"):
            values = [None if i is None else i // per for i in instants]
            files[f"{unit}_{zone is None}"] = pa.array(values, pa.timestamp(unit, zone))
    for name, column in files.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"i": range(len(column)), "t": column}), path)
        found = []
        for engine in engines:
            table = engine.read(path)
            zones = {"ms": "UTC", "s": "Europe/Berlin"}
            at = {unit: times.epoch(table["t"], unit, zone) for unit, zone in zones.items()}
            table = engine.keep(table.mutate(**at))
            shown = {f"day_{u}": times.days(table[u], u, zone) for u, zone in zones.items()}
            table = table.mutate(**shown)
            rows = table.drop("t").order_by("i")
            found.append([row for b in engine.batches(rows, 50) for row in b.to_pylist()])
        assert found[1] == found[0], name
        if name == "text":
            assert [row["ms"] for row in found[1]][: len(known)] == list(known.values())
        if name == "ns_False":
            assert found[1][0]["s"] == 1714557600


def test_lists_and_their_weights_are_read_alike(engines, tmp_path):
    cells = [None, "", ",", " 4 , 5 ", "1,,2", "-1,6", "1,2"]
    loads = [None, "", "1,2", " 1 , 2 ", "1,,3", "8,9", "1"]
    path = tmp_path / "lists.parquet"
    columns = {"i": range(7), "x": pa.array(cells), "w": pa.array(loads)}
    pq.write_table(pa.table(columns), path)
    weighted = LIST.model_copy(update={"weights": "w"})
    for engine in engines:
        table = engine.read(path)
        places, others = (encode.pieces(table[name], weighted) for name in ("x", "w"))
        unequal = (places.length() != others.length()).name("unequal")
        values, weights = encode.entries(table, weighted), encode.entry_weights(table, weighted)
        kept = {"x0": values[:1], "x1": values[1:2], "w0": weights[:1], "w1": weights[1:2]}
        ordered = table.select("i", unequal, **kept).order_by("i")
        rows = [row for batch in engine.batches(ordered, 7) for row in batch.to_pylist()]
        assert [row["unequal"] for row in rows] == [False] * 6 + [True]
        assert [row["x0"] + row["x1"] for row in rows[:6]] == [[], [], [], [4, 5], [1, 2], [6]]
        assert [row["w0"] + row["w1"] for row in rows[:6]] == [[], [], [], [1, 2], [1, 3], [9]]


def test_csv_files_are_read_alike(engines, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,range,empty,said\n007,"(1,2]",,"say ""so"""\n8,,"",\\\n')
    read = [engine.read(path).to_pyarrow().to_pylist() for engine in engines]
    # a blank cell is blank text, quoted or not: `schema.cells` says that it is missing
    assert read[0][0] == {"id": "007", "range": "(1,2]", "empty": "", "said": 'say "so"'}
    assert read[0][1] == {"id": "8", "range": "", "empty": "", "said": "\\"}
    assert read[1] == read[0]


def test_rows_of_another_length_end_as_a_users_error(engines, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n" + "1,2\n" * 3 + "1\n" + "1,2,3\n")
    for engine in engines:
        with pytest.raises(ValueError, match=r"a.csv line 6: 1 fields, the header has 2"):
            checks.typed(engine.read(path), {"a": "int64"}, "a.csv", checks.Report())


def test_an_active_session_is_used_and_left_running(engines, tmp_path):
    spark = engines[1]
    with connect("spark", tmp_path, "1GB", None) as other:
        assert other.connection is not spark.connection
    assert spark.connection.sql("SELECT 1 AS one").to_pyarrow()["one"].to_pylist() == [1]


def test_addresses_and_sizes_that_cannot_be_are_refused(tmp_path, capsys, monkeypatch):
    arguments = ["kuairand-pure", "--raw", str(MADE), "--out", str(tmp_path / "out")]
    for more, message in (
        (("--engine", "sparc"), "--engine: must be duckdb, spark or spark://HOST:PORT"),
        (("--engine", "spark", "--memory", "much"), "--memory: must be a size such as 2GB"),
        (
            ("--engine", "spark://a:1", "--spark-master", "spark://b:1"),
            "--spark-master: goes with --engine spark",
        ),
    ):
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert main([*arguments, "--engine", "spark"]) == 2
    assert "needs Java 17 or newer on PATH" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_ali_ccp_fields_asked_for_are_known():
    fields = {field for fields in ali_ccp.FIELDS.values() for field in fields}
    shipped = Schema.load(ROOT / "schemas" / "ali_ccp.yaml")
    assert {feature.source for feature in shipped.features} == fields
