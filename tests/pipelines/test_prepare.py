"""The prepared form, and what is learned from train alone."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.data import learn_vocabularies
from idefn_tf.schema import Schema
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.datasets.simulated_funnel.simulated_funnel import simulate
from pipelines.preparation.prepared_folder import Prepared
from pipelines.preparation.split import parse
from pipelines.prepare import Settings, main, prepare, prepare_rows

ROOT = Path(__file__).parents[2]
MADE = ROOT / "tests" / "data" / "kuairand_made"
KUAIRAND = Schema.load(ROOT / "schemas" / "kuairand_pure.yaml")
NAMES = (
    "user_id",
    "user_active_degree",
    "onehot_feat4",
    "video_id",
    "video_duration",
    "tag",
    "tab",
)


def schema_of(*features, **changes):
    """The shipped schema with a few features: shipped ones by name, others as mappings."""
    value = KUAIRAND.model_dump(mode="json", exclude_defaults=True)
    shipped = {feature["name"]: feature for feature in value["features"]}
    value["features"] = [shipped[f] if isinstance(f, str) else f for f in features]
    return Schema.parse({**value, **changes})


SMALL = schema_of(*NAMES)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "out"
    return prepare("kuairand_pure", MADE, out, schema=SMALL, settings=Settings(part_rows=60))


def present(prepared, part, name):
    """The values of a feature in a part that are not absent."""
    column = prepared.table(part, [name])[name].to_pylist()
    values = [v for entry in column for v in (entry if isinstance(entry, list) else [entry])]
    return [v for v in values if v not in (-1, "")]


def learned(prepared, name):
    return json.loads((prepared.vocabularies / f"{name}.json").read_text())


def test_the_folder_holds_what_the_contract_says(small):
    found = {str(p.relative_to(small.root)) for p in small.root.rglob("*") if p.is_file()}
    parts = {"train": 7, "validation": 2, "test": 2}
    files = {f"{part}/part-{i:05d}.parquet" for part, n in parts.items() for i in range(n)}
    vocabularies = {n for n in NAMES if SMALL.feature(n).kind == "vocabulary"}
    assert found == (
        {"schema.yaml", "card.json"}
        | files
        | {f"reports/{file}" for file in files}
        | {f"vocabularies/{name}.json" for name in vocabularies}
    )
    assert small.schema == SMALL
    assert small.parts == ("train", "validation", "test")


def test_part_files_are_full_but_the_last_and_reports_stand_beside_them(small):
    sizes = [pq.read_metadata(file).num_rows for file in small.files("train")]
    assert sizes == [60] * 6 + [40]
    for part in small.parts:
        for file, report in zip(small.files(part), small.report_files(part), strict=True):
            assert Path(file).name == Path(report).name
            ids = pq.read_table(file, columns=["row_id"])
            assert ids.equals(pq.read_table(report, columns=["row_id"]))


def test_rows_are_in_the_order_of_time_and_ids_are_unique(small):
    ids = []
    for part in small.parts:
        rows = small.table(part, ["row_id", "exposure_time"]).to_pandas()
        assert rows["row_id"].is_monotonic_increasing
        assert rows["exposure_time"].is_monotonic_increasing
        ids += rows["row_id"].tolist()
    assert sorted(ids) == list(range(600))


def test_nothing_a_model_reads_tells_of_unclicked_conversions(small):
    for part in small.parts:
        rows, report = small.table(part).to_pandas(), small.report_table(part).to_pandas()
        assert not set(report.columns) & set(rows.columns) - {"row_id"}
        assert (rows["conversion"] == rows["click"] * report["conversion_raw"]).all()
        assert (report["probe"] == ((rows["click"] == 0) & (report["conversion_raw"] == 1))).all()
    assert sum(part["probes"] for part in small.card["splits"].values()) > 0


@pytest.mark.parametrize("name", ["user_id", "user_active_degree", "onehot_feat4", "tag"])
def test_vocabularies_are_trains_values_by_frequency_then_value(small, name):
    counts = Counter(present(small, "train", name))
    least = SMALL.feature(name).min_count
    expected = sorted((v for v, n in counts.items() if n >= least), key=lambda v: (-counts[v], v))
    assert learned(small, name) == {"kind": "vocabulary", "values": expected}
    assert not {-1, ""} & set(expected)


def test_values_seen_only_after_train_stay_unknown(tmp_path):
    split = parse("train=2022-04-25,validation=2022-04-26,test=2022-04-27..2022-05-06")
    schema = schema_of("user_id", "tag")
    out = prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema, split=split)
    for name in ("user_id", "tag"):
        known = set(learned(out, name)["values"])
        train = Counter(present(out, "train", name))
        assert known == {v for v, n in train.items() if n >= schema.feature(name).min_count}
        for part in out.parts:
            values = present(out, part, name)
            share = sum(v not in known for v in values) / len(values)
            assert out.card["features"][name]["out_of_vocabulary"][part] == pytest.approx(share)
    assert out.card["features"]["user_id"]["out_of_vocabulary"]["test"] > 0


def test_max_size_keeps_the_most_frequent(small, tmp_path):
    user = {**KUAIRAND.feature("user_id").model_dump(exclude_defaults=True), "max_size": 5}
    out = prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema_of(user, "video_id"))
    assert learned(out, "user_id")["values"] == learned(small, "user_id")["values"][:5]
    assert out.card["features"]["user_id"]["vocabulary_size"] == 5


def test_tied_features_are_learned_on_their_union_under_the_owners_name(tmp_path):
    owner = {"name": "width", "column": "server_width", "dtype": "int64", "side": "item",
             "kind": "vocabulary"}  # fmt: skip
    tied = {**owner, "name": "height", "column": "server_height", "tied_to": "width"}
    schema = schema_of("user_id", owner, tied)
    out = prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema)
    assert learned(out, "width")["values"] == [720, 1280]  # 400 rows each
    assert not (out.vocabularies / "height.json").exists()
    assert out.card["features"]["height"]["out_of_vocabulary"]["test"] == 0.0


def test_numbers_are_standardized_by_train_after_log1p(tmp_path):
    number = {"name": "seconds", "column": "video_duration", "dtype": "float32", "side": "item",
              "kind": "numeric", "log1p": True}  # fmt: skip
    plain = {**number, "name": "plain", "log1p": False, "standardize": False}
    constant = {**number, "name": "constant", "column": "server_width", "log1p": False}
    schema = schema_of("user_id", number, plain, constant)
    out = prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema)
    there = out.table("train")["seconds"].drop_null().to_numpy().astype(np.float64)
    logged = np.log1p(there)
    found = learned(out, "seconds")
    assert found["kind"] == "numeric"
    assert found["mean"] == pytest.approx(logged.mean(), rel=1e-10)
    assert found["std"] == pytest.approx(logged.std(), rel=1e-10)
    assert learned(out, "plain")["mean"] == pytest.approx(there.mean(), rel=1e-10)
    assert learned(out, "constant") == {"kind": "numeric", "mean": 720.0, "std": 1.0}


def test_the_librarys_own_learning_agrees(small):
    library = learn_vocabularies(SMALL, small.table("train"))
    ours = {name: learned(small, name) for name in library}
    assert ours == library


def test_a_null_takes_the_schemas_missing_value_and_becomes_a_category(tmp_path):
    feat = {"name": "onehot_feat4", "dtype": "int64", "side": "user", "kind": "vocabulary",
            "missing": -7}  # fmt: skip
    tag = {**KUAIRAND.feature("tag").model_dump(exclude_defaults=True), "missing": 0}
    out = prepare(
        "kuairand_pure", MADE, tmp_path / "out", schema=schema_of(feat, tag, user_key=None)
    )
    column = out.table("train")["onehot_feat4"].to_pylist()
    share = column.count(-7) / len(column)
    assert share == pytest.approx(out.card["features"]["onehot_feat4"]["missing"]["train"])
    assert share > 0
    assert -7 in learned(out, "onehot_feat4")["values"]
    assert [0] in out.table("train")["tag"].to_pylist()
    assert [] not in out.table("train")["tag"].to_pylist()


def test_the_card_counts_what_the_files_hold(small):
    card = small.card
    assert card["dataset"] == "kuairand_pure"
    assert card["schema_hash"] == SMALL.hash
    assert card["days"]["validation"] == "2022-05-03..2022-05-04"
    names = [source["file"] for source in card["sources"]]
    assert "log_standard_4_25_to_5_06_pure.csv" in names
    assert all(len(source["sha256"]) == 64 for source in card["sources"])
    for part, found in card["splits"].items():
        rows, report = small.table(part).to_pandas(), small.report_table(part).to_pandas()
        assert found["rows"] == len(rows)
        assert found["clicks"] == rows["click"].sum()
        assert found["conversions"] == rows["conversion"].sum()
        assert found["probes"] == report["probe"].sum()
        assert found["ctr"] == pytest.approx(rows["click"].mean())
        assert found["cvr"] == pytest.approx(rows["conversion"].sum() / rows["click"].sum())
        assert found["ctcvr"] == pytest.approx(rows["conversion"].mean())
    tab = card["features"]["tab"]
    assert tab["out_of_vocabulary"] == {"train": 0.0, "validation": 0.0, "test": 0.0}
    counts = Counter(present(small, "train", "tab"))
    assert tab["top"][0] == {"value": 1, "share": pytest.approx(counts[1] / 400)}
    files = {entry["file"]: entry["bytes"] for entry in card["files"]}
    assert files["train/part-00000.parquet"] == Path(small.files("train")[0]).stat().st_size


def test_weighted_lists_keep_their_weights_beside_them(tmp_path):
    raw = tmp_path / "raw"
    simulate(raw, Options(exposures=300, preset="easy"))
    tags = pq.read_table(raw / "items.parquet").to_pydict()
    for key in ("item_tags", "item_tag_weights"):  # one list longer than max_length
        tags[key][3] = (tags[key][5] * 5)[:6] or tags[key][6]
    form = pq.read_schema(raw / "items.parquet")
    pq.write_table(pa.table(tags, schema=form), raw / "items.parquet")
    out = prepare("simulated_funnel", raw, tmp_path / "out")
    rows = pa.concat_tables([out.table(part) for part in out.parts]).to_pylist()
    columns = (tags[key] for key in ("item_id", "item_tags", "item_tag_weights"))
    by_item = {item: (names, weights) for item, names, weights in zip(*columns, strict=True)}
    assert max(len(row["item_tags"]) for row in rows) == 4
    for row in rows:
        names, weights = by_item[row["item_id"]]
        assert row["item_tags"] == names[:4]
        assert row["item_tags_weights"] == pytest.approx(weights[:4])


@pytest.mark.job
def test_a_raw_folder_never_seen_is_prepared_with_a_runs_vocabularies(small, tmp_path):
    out = prepare_rows(SMALL, MADE, tmp_path / "rows", vocabularies=small.vocabularies)
    assert out.parts == ("all",)
    assert out.card["splits"]["all"]["rows"] == 690  # both logs, every day
    for name in ("user_id", "tag"):
        assert learned(out, name) == learned(small, name)
        known, values = set(learned(small, name)["values"]), present(out, "all", name)
        share = sum(v not in known for v in values) / len(values)
        assert out.card["features"][name]["out_of_vocabulary"]["all"] == pytest.approx(share)


@pytest.mark.job
def test_rows_can_be_prepared_without_vocabularies_or_with_a_split(small, tmp_path):
    out = prepare_rows(SMALL, MADE, tmp_path / "rows")
    assert not list(out.vocabularies.iterdir())
    assert "out_of_vocabulary" not in out.card["features"]["user_id"]
    split = parse("train=2022-04-25,validation=2022-04-26,test=2022-04-27")
    out = prepare_rows(SMALL, MADE, tmp_path / "split", small.vocabularies, split)
    assert out.parts == ("train", "validation", "test")
    assert learned(out, "user_id") == learned(small, "user_id")


def test_vocabularies_that_do_not_belong_to_the_schema_are_refused(small, tmp_path):
    schema = schema_of(*NAMES, "author_id")
    with pytest.raises(ValueError, match=r"author_id\.json must be there"):
        prepare_rows(schema, MADE, tmp_path / "rows", vocabularies=small.vocabularies)
    assert not list(tmp_path.iterdir())


def test_a_schema_of_another_name_is_read_as_any_table_of_exposures(tmp_path):
    with pytest.raises(ValueError, match=r"user_features_pure.*labels\.exposure_time"):
        prepare_rows(schema_of("user_id", name="other"), MADE, tmp_path / "rows")


def test_a_data_set_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'other' must be one of"):
        prepare("other", MADE, tmp_path / "out", schema=schema_of("user_id", name="other"))


def test_labels_that_are_nowhere_are_refused(tmp_path):
    labels = {"click": "is_click", "conversion": "is_bought"}
    with pytest.raises(ValueError, match=r"`labels` names the raw columns \['is_bought'\]"):
        prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema_of("user_id", labels=labels))


@pytest.mark.job
def test_an_attribution_window_needs_a_time_and_then_keeps_open_rows_out(tmp_path):
    labels = {"click": "is_click", "conversion": "is_like", "attribution_window_hours": 24}
    with pytest.raises(ValueError, match="needs exposure_time"):
        schema_of("user_id", labels=labels)
    labels["exposure_time"] = "time_ms"
    out = prepare(
        "kuairand_pure", MADE, tmp_path / "out", schema=schema_of("user_id", labels=labels)
    )
    end = out.card["immature"]["as_of"]
    times = [time for part in out.parts for time in out.table(part)["exposure_time"].to_pylist()]
    assert out.card["immature"]["rows"] > 0
    assert max(times) + 24 * 3_600_000 <= end


@pytest.mark.job
def test_another_label_pair_can_be_chosen(tmp_path):
    labels = {"click": "long_view", "conversion": "is_like", "exposure_time": "time_ms"}
    never = [c for c in KUAIRAND.never_features if c != "long_view"]
    schema = schema_of("user_id", labels=labels, never_features=never)
    out = prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema)
    assert out.card["splits"]["train"]["clicks"] > 0


def test_reading_what_is_not_prepared_is_refused(small, tmp_path):
    with pytest.raises(ValueError, match="must be a prepared folder"):
        Prepared.open(tmp_path)
    with pytest.raises(ValueError, match="'all' must be one of"):
        small.files("all")


@pytest.mark.job
def test_the_command_line_says_what_it_read_and_wrote(tmp_path, capsys):
    SMALL.save(tmp_path / "small.yaml")
    arguments = ["kuairand-pure", "--raw", str(MADE), "--out", str(tmp_path / "out")]
    arguments += ["--schema", str(tmp_path / "small.yaml"), "--threads", "1"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "log_standard_4_25_to_5_06_pure.csv" in captured.err
    assert "9 exact duplicate rows dropped" in captured.err
    assert f"wrote {tmp_path / 'out'}" in captured.err
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
