"""A table as people write them, from a schema proposed for it to a CVR over REST."""

import csv
import json
import urllib.request

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.registry import prepare, prepare_rows
from pipelines.experiment.config import Config
from pipelines.export import export
from pipelines.run import embedded_server
from pipelines.schema import main as schema_main
from pipelines.schema_inference.table_sample import read_sample
from pipelines.train import train
from serving.client import Client

pytestmark = pytest.mark.job

QUIET = Console(quiet=True)
USERS = {
    "name": "users",
    "labels": {"click": "c", "conversion": "v"},
    "features": [
        {"name": "user", "dtype": "int64", "side": "user", "kind": "hash", "num_buckets": 8}
    ],
}
NAMES = (
    "Zeitpunkt",
    "Kunden-Nr.",
    "Artikel #",
    "Warengruppe",
    "Preis (€)",
    "Alter",
    "Klick?",
    "Kauf?",
)


def made(path, rows=3000, seed=0):
    """Semicolons, decimal commas, days first, yes and no, gaps, a byte-order mark."""
    rng = np.random.default_rng(seed)
    customer, article = rng.integers(0, 150, rows), rng.integers(0, 40, rows)
    prices = np.round(np.exp(rng.normal(3.5, 1.5, 40)), 2)
    prices[0] = 1234.5
    price = prices[article]
    click = rng.random(rows) < 0.3 + 0.3 * (article % 4 == 0)
    bought = click & (rng.random(rows) < 0.1 + 0.3 * (customer % 3 == 0))
    age = rng.integers(18, 70, rows)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(NAMES)
        for i in range(rows):
            day, minute = divmod(i * 9 * 1440 // rows, 1440)
            euro = f"{price[i]:,.2f}".translate(str.maketrans(",.", ".,"))
            writer.writerow(
                [
                    f"{day + 1:02d}.05.2024 {minute // 60:02d}:{minute % 60:02d}",
                    f"K{customer[i]:05d}",
                    article[i],
                    ["Schuhe", "Taschen", "N/A", "Spielzeug"][article[i] % 4],
                    euro if i % 7 else "",
                    age[i] if i % 5 else "NULL",
                    "Yes" if click[i] else "No",
                    ("yes" if bought[i] else "no") if click[i] else "",
                ]
            )
    return {"click": click, "bought": bought, "price": price}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def truth(folder):
    return made(folder / "Mai 2024.csv")


@pytest.fixture(scope="module")
def schema(folder, truth):
    arguments = ["infer", str(folder / "Mai 2024.csv"), "--out", str(folder / "schema.yaml")]
    arguments += ["--click", "Klick?", "--conversion", "Kauf?", "--quiet"]
    assert schema_main([*arguments, "--user", "Kunden-Nr.", "--item", "Artikel #"]) == 0
    return Schema.load(folder / "schema.yaml")


@pytest.fixture(scope="module")
def data(folder, schema):
    return prepare("table", folder / "Mai 2024.csv", folder / "data", schema=schema, console=QUIET)


def test_every_column_is_taken_for_what_it_is(schema):
    found = {f.source: (f.side, f.kind, f.dtype) for f in schema.features}
    assert found["Kunden-Nr."] == ("user", "vocabulary", "string")
    assert found["Artikel #"] == ("item", "vocabulary", "int64")
    assert found["Preis (€)"][1:] == ("numeric", "float32")
    assert found["Alter"][1:] == ("numeric", "float32")
    assert schema.labels.exposure_time == "Zeitpunkt"
    assert schema.user_key == "Kunden_Nr"


def test_prepared_values_are_what_the_table_means(data, truth, schema):
    assert data.parts == ("train", "validation", "test")
    tables = [data.table(part) for part in data.parts]
    table = pa.concat_tables(tables)
    assert table.num_rows == 3000
    assert np.asarray(table["click"]).sum() == truth["click"].sum()
    assert np.asarray(table["conversion"]).sum() == truth["bought"].sum()
    price = next(f for f in schema.features if f.source == "Preis (€)")
    there = np.arange(3000) % 7 > 0
    got = np.sort(np.asarray(table[price.name])[np.argsort(np.asarray(table["row_id"]))][there])
    np.testing.assert_allclose(got, np.sort(truth["price"][there]), rtol=1e-6)
    assert got.max() > 1000  # 1.234,50 is above a thousand
    kinds = set(table["Warengruppe"].to_pylist())
    assert kinds == {"Schuhe", "Taschen", "N/A", "Spielzeug"}  # text is text: NA may be Namibia
    days = {p: data.card["splits"][p]["rows"] for p in data.parts}
    assert days["train"] > days["validation"] > 0


def test_words_that_the_schema_lists_are_missing_in_text_too(folder, schema, truth, tmp_path):
    value = schema.model_dump(mode="json", exclude_defaults=True) | {"missing_words": ["N/A"]}
    out = tmp_path / "data"
    listed = prepare("table", folder / "Mai 2024.csv", out, schema=Schema.parse(value))
    assert set(listed.table("train")["Warengruppe"].to_pylist()) == {
        "Schuhe", "Taschen", "", "Spielzeug"
    }  # fmt: skip


def test_a_comma_before_decimals_is_read_only_where_columns_are_separated_otherwise(tmp_path):
    (tmp_path / "semi.csv").write_text("a;b\n1,5;1,2,3\n2;4\n-1.000,25;7\n", encoding="utf-8")
    (tmp_path / "comma.csv").write_text('a,b\n"1,500",x\n"2,500",y\n', encoding="utf-8")
    semi, comma = read_sample(tmp_path / "semi.csv"), read_sample(tmp_path / "comma.csv")
    assert semi["a"].to_pylist() == ["1.5", "2", "-1000.25"]
    assert semi["b"].to_pylist() == ["1,2,3", "4", "7"]  # a list, not a number
    assert comma["a"].to_pylist() == ["1,500", "2,500"]


def test_a_conversion_may_be_empty_only_where_there_was_no_click(tmp_path, schema):
    path = tmp_path / "gap.csv"
    made(path, 400)
    text = path.read_text(encoding="utf-8-sig").replace(";Yes;no", ";Yes;", 1)
    path.write_text(text, encoding="utf-8-sig")
    with pytest.raises(ValueError, match=r"Kauf\?.*a label must be 0 or 1"):
        prepare("table", path, tmp_path / "out", schema=schema, console=QUIET)


def test_a_conversion_that_was_never_written_is_none_of_a_click(tmp_path):
    rows = pd.DataFrame({"user": [1, 2, 3], "c": [0, 0, 0], "v": pd.array([None] * 3)})
    rows.to_parquet(tmp_path / "raw.parquet")  # the column is of type null
    schema = Schema.parse(USERS)
    out = prepare_rows(schema, tmp_path / "raw.parquet", tmp_path / "out", console=QUIET)
    assert out.table("all").column("conversion").to_pylist() == [0, 0, 0]


def test_columns_that_preparation_makes_are_no_columns_of_a_table(tmp_path):
    made_twice = {**USERS["features"][0], "name": "day"}
    schema = Schema.parse({**USERS, "features": [made_twice]})
    pd.DataFrame({"day": [1], "c": [1], "v": [0]}).to_parquet(tmp_path / "raw.parquet")
    with pytest.raises(ValueError, match=r"makes the columns \['day'\] itself; rename them"):
        prepare_rows(schema, tmp_path / "raw.parquet", tmp_path / "out", console=QUIET)


def test_a_probability_that_no_column_holds_is_named(tmp_path):
    labels = {**USERS["labels"], "exposure_probability": "shown"}
    schema = Schema.parse({**USERS, "labels": labels})
    pd.DataFrame({"user": [1], "c": [1], "v": [0]}).to_parquet(tmp_path / "raw.parquet")
    with pytest.raises(ValueError, match=r"'shown'"):
        prepare_rows(schema, tmp_path / "raw.parquet", tmp_path / "out", console=QUIET)


def test_other_words_are_refused_with_a_cure(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("c;d\nmaybe;1\nno;0\n", encoding="utf-8")
    arguments = ["infer", str(path), "--click", "c", "--conversion", "d"]
    assert schema_main([*arguments, "--out", str(tmp_path / "s.yaml")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "yes and no" in said
    assert "maybe" in said


@pytest.mark.slow
def test_it_reaches_an_answer_over_rest(folder, data, schema):
    small = ["training.epochs=1", "training.batch_size=256", "training.jit_compile=false"]
    small += ["training.audit=false", "backbone.units=[8]", "model.transport.steps=20"]
    config = Config.load("pipelines/configs/table/idefn.yaml", small)
    run = train(config, data.root, folder / "run", QUIET, evaluate=False)
    export(run.root, folder / "models" / "cvr", QUIET, rows=data.root / "test")
    with embedded_server("cvr", folder / "models" / "cvr") as url:
        answer = Client(url, "cvr", schema).predict(data.table("test").slice(0, 3).to_pandas())
        assert set(answer) >= {"ctr", "cvr", "ctcvr"}
        assert all(0 < value < 1 for value in answer["cvr"])
        with urllib.request.urlopen(f"{url}/v1/models/cvr") as reply:
            state = json.load(reply)["model_version_status"][0]["state"]
    assert state == "AVAILABLE"
