"""A user's own table: what each column is taken for, and the way from the file to scores."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.schema import Schema
from pipelines import evaluate, prepare, train
from pipelines import schema as command
from pipelines.config import Config
from pipelines.console import Console
from pipelines.inference.features import choose
from pipelines.inference.leaks import find_leak, separation
from pipelines.inference.profile import profile
from pipelines.inference.proposal import propose
from pipelines.inference.reading import read_sample
from pipelines.inference.sides import constancy
from pipelines.prepared import Prepared
from pipelines.run import ROOT

QUIET = Console(quiet=True)
ROWS = 8000


def made(rows=ROWS, seed=0):
    """A shop's exposures with the traps that real tables hold."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 600, rows), rng.integers(0, 200, rows)
    quality, taste = rng.normal(0, 1, 200), rng.normal(0, 1, 600)

    def happens(logit):
        return (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)

    click = happens(-0.6 + 0.9 * quality[items] + 0.4 * taste[users])
    bought = happens(-1.2 + 1.4 * quality[items] - 0.8 * taste[users]) * click
    price = np.round(np.exp(rng.normal(3, 1.2, 200)), 2)[items]
    ages = rng.integers(18, 80, 600).astype(float)
    ages[rng.random(600) < 0.1] = np.nan
    names = ["sale", "new", "eco", "kids", "red"]
    tags = np.array(
        ["|".join(rng.choice(names, rng.integers(1, 4), replace=False)) for _ in range(200)]
    )
    seconds = np.sort(rng.integers(0, 8 * 86400, rows))
    shown = pd.Timestamp("2024-05-01") + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame(
        {
            "exposure uuid": [f"{i:08x}-e" for i in rng.permutation(rows)],
            "shown_at": shown.strftime("%Y-%m-%d %H:%M:%S"),
            "member_id": users + 100000,
            "sku": [f"{i:05d}" for i in items],
            "category": np.array(["shoes", "bags", "toys", "books"])[items % 4],
            "Shop Name": np.array([f"shop {i % 17}" for i in items]),
            "price": price,
            "tags": tags[items],
            "member_age": ages[users],
            "is_prime": np.where(users % 3 == 0, "True", "False"),
            "position": rng.integers(1, 11, rows),
            "dwell_seconds": np.where(click == 1, rng.integers(3, 200, rows), 0),
            "order_value": np.where(bought == 1, price, np.nan),
            "bought_again": bought,
            "score_of_clicks": click + rng.normal(0, 0.05, rows),
            "watch_hint": rng.normal(0, 1, rows),
            "currency": "EUR",
            "clicked": click,
            "bought": bought,
        }
    )


@pytest.fixture(scope="module")
def frame():
    return made()


@pytest.fixture(scope="module")
def proposal(frame):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return propose(table, "clicked", "bought", name="shop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, frame):
    root = tmp_path_factory.mktemp("own")
    frame.to_csv(root / "shop.csv", index=False)
    return root


@pytest.fixture(scope="module")
def schema_path(folder):
    out = folder / "schema.yaml"
    arguments = ["infer", str(folder / "shop.csv"), "--click", "clicked", "--conversion", "bought"]
    assert command.main([*arguments, "--out", str(out), "--quiet"]) == 0
    return out


def guess(proposal, column):
    return next(g for g in proposal.guesses if g.column == column)


# -- guesses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "side", "settings"),
    [
        ("member_id", "user", {"dtype": "int64", "kind": "vocabulary"}),
        ("sku", "item", {"dtype": "string", "kind": "vocabulary"}),
        ("category", "item", {"dtype": "string", "kind": "vocabulary"}),
        ("price", "item", {"dtype": "float32", "kind": "numeric", "log1p": True}),
        ("tags", "item", {"kind": "vocabulary", "max_length": 3, "separator": "|"}),
        ("member_age", "user", {"dtype": "float32", "kind": "numeric"}),
        ("position", "context", {"kind": "vocabulary", "train_only": True}),
        ("watch_hint", "context", {"kind": "numeric"}),
    ],
)
def test_columns_become_the_features_they_are(proposal, column, side, settings):
    found = guess(proposal, column)
    assert found.role == "feature"
    assert found.entry["side"] == side
    assert settings.items() <= found.entry.items()
    assert found.why


def test_the_median_stands_in_where_a_number_is_missing(proposal, frame):
    entry = guess(proposal, "member_age").entry
    assert entry["missing"] == pytest.approx(frame["member_age"].median(), abs=1)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("dwell_seconds", "known only after the click"),
        ("order_value", "known only after the click"),
        ("bought_again", "the same as the conversion"),
        ("score_of_clicks", "predicts the click"),
    ],
)
def test_columns_that_know_the_label_are_kept_out(proposal, column, reason):
    found = guess(proposal, column)
    assert found.entry is None
    assert reason in found.why
    assert found.warning.startswith("LEAK")
    assert column in proposal.schema().never_features


def test_a_name_that_sounds_like_a_label_is_pointed_at_and_kept(proposal):
    found = guess(proposal, "watch_hint")
    assert found.role == "feature"
    assert "watch" in found.warning


def test_what_is_of_no_use_is_left_out_with_its_reason(proposal):
    assert "one value only" in guess(proposal, "currency").why
    assert "identifier" in guess(proposal, "exposure uuid").why
    assert guess(proposal, "shown_at").role == "time"
    assert proposal.labels["exposure_time"] == "shown_at"


def test_names_that_are_no_names_are_mended(proposal):
    entry = guess(proposal, "Shop Name").entry
    assert (entry["name"], entry["column"]) == ("Shop_Name", "Shop Name")


def test_the_user_is_found(proposal):
    assert proposal.schema().user_key == "member_id"


def test_the_written_file_is_the_proposal_with_a_reason_for_every_entry(schema_path):
    schema = Schema.load(schema_path)
    lines = schema_path.read_text(encoding="utf-8").splitlines()
    entries = [i for i, line in enumerate(lines) if line.startswith("  - ")]
    assert len(entries) == len(schema.features) + len(schema.never_features)
    assert all(lines[i - 1].startswith("  # ") for i in entries)
    assert schema.labels.click == "clicked"
    assert "bought_again" in schema.never_features


def test_the_command_shows_guesses_warnings_and_what_comes_next(folder, tmp_path, capsys):
    arguments = ["infer", str(folder / "shop.csv"), "--click", "clicked", "--conversion", "bought"]
    assert command.main([*arguments, "--out", str(tmp_path / "s.yaml")]) == 0
    said = capsys.readouterr().err
    assert "warning dwell_seconds: LEAK" in said
    assert "one value for 100% of sku" in " ".join(said.split())
    assert "pipelines.run --raw" in said
    assert "pipelines.prepare table --raw" in said
    assert "pipelines.train --config" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--click", "click", "--conversion", "bought"], "did you mean 'clicked'"),
        (["--click", "clicked", "--conversion", "price"], "must hold 0 and 1"),
        (["--click", "clicked", "--conversion", "clicked"], "another column"),
        (["--click", "clicked", "--conversion", "bought", "--time", "price"], "--time"),
        (["--click", "clicked", "--conversion", "bought", "--user", "currenc"], "--user"),
    ],
)
def test_a_wrong_request_is_one_clear_message(folder, tmp_path, capsys, arguments, message):
    out = ["--out", str(tmp_path / "s.yaml"), "--quiet"]
    assert command.main(["infer", str(folder / "shop.csv"), *arguments, *out]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "s.yaml").exists()


def test_a_schema_that_is_there_is_never_overwritten(folder, schema_path, capsys):
    arguments = ["infer", str(folder / "shop.csv"), "--click", "clicked", "--conversion", "bought"]
    assert command.main([*arguments, "--out", str(schema_path)]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_table_of_clicks_alone_is_refused(frame):
    clicked = pa.Table.from_pandas(frame[frame["clicked"] == 1], preserve_index=False)
    with pytest.raises(ValueError, match="unclicked"):
        propose(clicked, "clicked", "bought")


def test_conversions_without_clicks_are_counted(frame):
    other = frame.assign(bought=np.where(np.arange(len(frame)) % 50 == 0, 1, frame["bought"]))
    found = propose(pa.Table.from_pandas(other, preserve_index=False), "clicked", "bought")
    alone = int(((other["clicked"] == 0) & (other["bought"] == 1)).sum())
    assert any(f"{alone:,} rows hold a conversion without a click" in w for w in found.warnings)


# -- types -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2", None, " 3 "], "integer"),
        (["1.5", "2", "nan"], "float"),
        (["4.0", "5.0", ""], "integer"),
        (["007", "011"], "text"),
        (["0.5", "0"], "float"),
        (["True", "false"], "boolean"),
        (["2024-05-01", "2024-05-02"], "time"),
        (["2024-05-01 10:00:00", "2024-05-02T11:00:00"], "time"),
        (["1_0", "2"], "text"),
        (["12345678901234567890", "1"], "text"),
        ([None, ""], "text"),
        ([[1, 2], [3]], "list"),
        ([1.0, None, 2.0], "integer"),
        ([True, None], "boolean"),
    ],
)
def test_types_are_guessed_from_values(values, expected):
    assert profile("x", pa.array(values)).type == expected


def test_wide_whole_numbers_keep_their_digits():
    wide = 2**60 + 1
    found = profile("x", pa.array([str(wide), "5"]))
    assert found.values.to_pylist() == [wide, 5]


def test_a_range_is_no_list():
    column = profile("x", pa.array(["(10,50]", "(50,100]", "[0,10]"] * 200))
    settings = choose(column, "user").settings
    assert "separator" not in settings


def test_lists_of_a_parquet_file_are_lists():
    column = profile("x", pa.array([[1, 2], [3], [], None] * 10))
    assert choose(column, "item").settings == {
        "dtype": "int64", "kind": "vocabulary", "max_length": 2,
    }  # fmt: skip


def test_separation_of_a_rare_category_is_not_fooled_by_rows_of_its_own():
    rng = np.random.default_rng(0)
    column = profile("x", pa.array([f"v{i}" for i in range(2000)]))
    label = (rng.random(2000) < 0.3).astype(float)
    assert separation(column, np.arange(2000), label) < 0.6
    copy = profile("y", pa.array(np.where(label == 1, "yes", "no")))
    assert separation(copy, np.arange(2000), label) > 0.999


def test_a_column_filled_after_conversion_only_is_found_among_clicks():
    rng = np.random.default_rng(0)
    click = (rng.random(4000) < 0.5).astype(float)
    conversion = click * (rng.random(4000) < 0.3)
    values = [1.5 if c else (0.7 if k and i % 900 == 0 else None)
              for i, (k, c) in enumerate(zip(click, conversion, strict=True))]  # fmt: skip
    found = find_leak(profile("x", pa.array(values)), click, conversion)
    assert found.certain
    assert find_leak(profile("x", pa.array(rng.random(4000))), click, conversion) is None


def test_constancy_by_hand():
    key = profile("k", pa.array(np.repeat(np.arange(100), 2)))
    same = profile("a", pa.array(np.repeat(np.arange(100) % 7, 2)))
    half = profile(
        "b", pa.array(np.where(np.arange(200) < 100, np.arange(200) // 2, np.arange(200)))
    )
    assert constancy(key, same) == 1.0
    assert constancy(key, half) == 0.5


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_are_found(tmp_path, frame, delimiter):
    path = tmp_path / "shop.csv"
    frame.head(300).to_csv(path, index=False, sep=delimiter)
    table = read_sample(path)
    assert table.column_names == list(frame.columns)
    assert table.num_rows == 300
    assert table["sku"][0].as_py() == frame["sku"][0]


def test_a_sample_ends_where_it_is_told_to(folder, tmp_path, frame):
    assert read_sample(folder / "shop.csv", 100).num_rows == 100
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    assert read_sample(tmp_path, 100).num_rows == 100
    with pytest.raises(ValueError, match="no Parquet"):
        read_sample(tmp_path / "nothing.csv")


def test_parquet_and_csv_of_the_same_rows_give_the_same_schema(tmp_path, frame, schema_path):
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    table = read_sample(path)
    found = propose(table, "clicked", "bought", name="shop").schema()
    assert found == Schema.load(schema_path)


# -- the whole way -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(folder, schema_path):
    arguments = ["table", "--raw", str(folder / "shop.csv"), "--schema", str(schema_path)]
    assert prepare.main([*arguments, "--out", str(folder / "data"), "--quiet"]) == 0
    return Prepared.open(folder / "data")


@pytest.fixture(scope="module")
def run(folder, data):
    config = Config.load(
        ROOT / "configs" / "table_idefn.yaml",
        ["training.epochs=6", "training.jit_compile=false", "optimizer.learning_rate=0.005"],
    )
    return train.train(config, data.root, folder / "run", QUIET)


def test_every_row_lands_in_one_part_by_its_day(data, frame):
    counts = {part: data.card["splits"][part]["rows"] for part in data.parts}
    assert sum(counts.values()) == len(frame)
    days = pd.to_datetime(frame["shown_at"]).dt.strftime("%Y-%m-%d")
    assert counts["test"] == int((days >= "2024-05-07").sum())
    assert counts["train"] == int((days <= "2024-05-04").sum())
    clicks = sum(data.card["splits"][part]["clicks"] for part in data.parts)
    assert clicks == frame["clicked"].sum()


def test_prepared_values_are_the_tables(data, frame):
    table = data.table("train").to_pandas()
    expected = frame.iloc[: len(table)]  # the frame is in the order of time
    assert set(table["sku"]) <= set(frame["sku"])
    assert sorted(table["member_id"]) == sorted(expected["member_id"])
    assert table["is_prime"].sum() == (expected["is_prime"] == "True").sum()
    assert table["exposure_time"].is_monotonic_increasing
    first = pd.to_datetime(expected["shown_at"].iloc[0]).timestamp() * 1000
    assert table["exposure_time"].iloc[0] == first


def test_a_model_learns_from_ones_own_table(run):
    metrics = json.loads(run.metrics_path.read_text())
    assert metrics["validation"]["all_funnel"]["cvr_auc"] > 0.6
    assert metrics["test"]["clicked"]["cvr_auc"] > 0.6


def test_a_raw_file_is_evaluated_as_its_prepared_rows_are(run, folder, data, frame, capsys):
    test = frame[frame["shown_at"] >= "2024-05-07"]
    path = folder / "later.csv"
    test.to_csv(path, index=False)
    assert (
        evaluate.main(["--run", str(run.root), "--raw", str(path), "--json", "-", "--quiet"]) == 0
    )
    printed = json.loads(capsys.readouterr().out)["all"]
    own = json.loads(run.metrics_path.read_text())["test"]
    for metric in ("rows", "positives", "cvr_auc", "ctr_auc", "cvr_logloss"):
        assert printed["all_funnel"][metric] == pytest.approx(own["all_funnel"][metric], abs=1e-6)


def test_fewer_than_five_days_are_split_by_shares_of_the_rows(folder, schema_path, frame, tmp_path):
    short = tmp_path / "short.csv"
    frame.head(2000).to_csv(short, index=False)
    out = prepare.prepare("table", short, tmp_path / "d", schema=Schema.load(schema_path))
    counts = [out.card["splits"][p]["rows"] for p in ("train", "validation", "test")]
    assert sum(counts) == 2000
    assert counts == pytest.approx([1600, 200, 200], abs=5)
    times = {p: out.table(p)["exposure_time"].to_pylist() for p in out.parts}
    assert max(times["train"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])
    assert any("fewer than 5 days" in note for note in out.card["checks"]["notes"])


def test_without_a_time_equal_rows_share_a_part(schema_path, frame, tmp_path):
    value = Schema.load(schema_path).model_dump(mode="json", exclude_defaults=True)
    for key in ("exposure_time", "time_unit"):
        value["labels"].pop(key, None)
    twice = pd.concat([frame.head(3000)] * 2)
    twice.to_csv(tmp_path / "twice.csv", index=False)
    out = prepare.prepare(
        "table", tmp_path / "twice.csv", tmp_path / "d", schema=Schema.parse(value)
    )
    keys = ["member_id", "sku", "position", "price", "click"]
    rows = {p: set(out.table(p, keys).to_pandas().itertuples(index=False)) for p in out.parts}
    assert sum(out.card["splits"][p]["rows"] for p in out.parts) == 6000
    shared = rows["train"] & rows["test"]
    assert len(shared) < 10  # rows that differ in columns not compared here
    share = out.card["splits"]["test"]["rows"] / 6000
    assert 0.06 < share < 0.14


@pytest.mark.parametrize(
    ("written", "unit", "expected"),
    [
        (["2024-05-01 10:00:00"], "ms", 1714557600000),
        (["2024-05-01T10:00:00.250"], "ms", 1714557600250),
        (["2024-05-01"], "s", 1714521600),
        (["20240501"], "ms", 1714521600000),
        (["1714557600"], "s", 1714557600),
        (["1714557600000"], "ms", 1714557600000),
        ([pd.Timestamp("2024-05-01 10:00:00")], "ms", 1714557600000),
        (["never"], "ms", None),
    ],
)
def test_times_in_every_form(written, unit, expected):
    import ibis

    from pipelines.datasets.table import epoch

    table = ibis.memtable(pd.DataFrame({"t": written}))
    value = table.select(made=epoch(table["t"], unit)).to_pyarrow()["made"][0].as_py()
    assert value == expected


@pytest.mark.parametrize(
    "day", ["1970-01-01", "1999-12-31", "2000-02-29", "2024-02-29", "2024-03-01", "2100-03-01"]
)
def test_days_by_plain_arithmetic(day):
    import ibis

    from pipelines.datasets.table import day_number

    seconds = int(pd.Timestamp(day).timestamp()) + 86399
    table = ibis.memtable(pd.DataFrame({"s": [seconds]}))
    found = table.select(made=day_number(table["s"])).to_pyarrow()["made"][0].as_py()
    assert found == int(day.replace("-", ""))


def test_a_table_without_a_schema_is_told_how_to_get_one(tmp_path, folder, capsys):
    out = ["--out", str(tmp_path / "d"), "--quiet"]
    assert prepare.main(["table", "--raw", str(folder / "shop.csv"), *out]) == 2
    assert "pipelines.schema infer" in capsys.readouterr().err
