"""Ali-CCP's preparation, on made files in the raw form."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from idefn_tf.schema import Schema
from pipelines.datasets.ali_ccp import ali_ccp
from pipelines.prepare import Settings, main, prepare, prepare_rows

SCHEMA = Schema.load(Path(__file__).parents[3] / "schemas" / "ali_ccp.yaml")
LISTS = {f.source for f in SCHEMA.features if f.multi_valued}
PARTS = ("train", "validation", "test")
KEYS = [f"{7919 * i:016x}" for i in range(1, 9)]


def schema_of(*features):
    """The shipped schema with a few features: shipped ones by name, others as mappings."""
    value = SCHEMA.model_dump(mode="json", exclude_defaults=True)
    shipped = {feature["name"]: feature for feature in value["features"]}
    features = [shipped[f] if isinstance(f, str) else f for f in features]
    user = {"user_key": "user_id"} if any(f["name"] == "user_id" for f in features) else {}
    return Schema.parse({**value, "user_key": None, **user, "features": features})


SMALL = schema_of("user_id", "user_shops", "item_id", "position")


def joined(features):
    return "\x01".join(f"{field}\x02{i}\x03{value}" for field, i, value in features)


def skeleton(sample, click, conversion, key, *features):
    return f"{sample},{click},{conversion},{key},{len(features)},{joined(features)}"


def common(key, *features):
    return f"{key},{len(features)},{joined(features)}"


def plain(text, head):
    """Reads a line with nothing but split."""
    *found, _, rest = text.split(",", head)
    fields = {}
    for feature in filter(None, rest.split("\x01")):
        field, _, pair = feature.partition("\x02")
        i, _, value = pair.partition("\x03")
        fields.setdefault(field, []).append((int(i), float(value)))
    return found, fields


def random_features(rng, fields):
    found = []
    for field in fields:
        if rng.random() < 0.25:
            continue
        if field not in LISTS:
            found.append((field, 1000 + int(40 * rng.random() ** 2), "1.0"))
            continue
        for i in rng.sample(range(1000, 1060), rng.randrange(1, 30)):
            found.append((field, i, "1.0" if field == "210" else round(rng.random() * 3, 5)))
    rng.shuffle(found)
    return found


def random_files(rng, rows):
    users = [common(key, *random_features(rng, ali_ccp.FIELDS["common"])) for key in KEYS]
    exposures = []
    for sample in range(1, rows + 1):
        labels = int(rng.random() < 0.4), int(rng.random() < 0.3)
        features = random_features(rng, ali_ccp.FIELDS["skeleton"])
        exposures.append(skeleton(sample, *labels, rng.choice(KEYS), *features))
    return users, exposures


def write(raw, **files):
    raw.mkdir(exist_ok=True)
    for name, rows in files.items():
        (raw / f"{name}.csv").write_text("".join(f"{row}\n" for row in rows))
    return raw


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """300 train and 40 test rows; both commons have the same keys and other features."""
    users, train = random_files(random.Random(5), 300)
    others, test = random_files(random.Random(6), 40)
    return write(
        tmp_path_factory.mktemp("ali") / "raw",
        common_features_train=users, sample_skeleton_train=train,
        common_features_test=others, sample_skeleton_test=test,
    )  # fmt: skip


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory):
    return prepare("ali_ccp", raw, tmp_path_factory.mktemp("ali") / "out")


@pytest.fixture
def mine(raw, tmp_path):
    """The same raw folder, to be spoilt."""
    return write(
        tmp_path / "raw", **{p.stem: p.read_text().splitlines() for p in raw.glob("*.csv")}
    )


def split_mix(sample, seed):
    """One step of SplitMix64 in whole numbers, as a number in 0..1."""
    word = 2**64 - 1
    x = (sample + (seed + 1) * 0x9E3779B97F4A7C15) & word
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & word
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & word
    return ((x ^ (x >> 31)) >> 11) / 2**53


def by_hand(raw, seed=0, share=0.1):
    """All rows by part: row_id, click, conversion, and every field's (id, value) entries."""
    parts = {part: [] for part in PARTS}
    number = 0
    for origin in ("train", "test"):
        lines = (raw / f"common_features_{origin}.csv").read_text().splitlines()
        users = {key: fields for (key,), fields in (plain(text, 2) for text in lines)}
        for text in (raw / f"sample_skeleton_{origin}.csv").read_text().splitlines():
            (sample, click, conversion, key), fields = plain(text, 5)
            drawn = origin == "train" and split_mix(int(sample), seed) < share
            row = (number, int(click), int(conversion), fields | users[key])
            parts["validation" if drawn else origin].append(row)
            number += 1
    return parts


@pytest.mark.parametrize("part", PARTS)
def test_every_value_equals_a_plain_reading(prepared, raw, part):
    found, reports = prepared.table(part).to_pylist(), prepared.report_table(part).to_pylist()
    expected = by_hand(raw)[part]
    assert len(found) == len(expected) > 15
    for row, report, (number, click, conversion, fields) in zip(
        found, reports, expected, strict=True
    ):
        assert (row["row_id"], row["click"]) == (number, click)
        assert row["conversion"] == click * conversion
        probe = conversion == 1 and click == 0
        assert report == {"row_id": number, "conversion_raw": conversion, "probe": probe}
        for feature in SCHEMA.features:
            entries = fields.get(feature.source, [])
            if not feature.multi_valued:
                assert row[feature.name] == (entries[0][0] if entries else -1), feature.name
                continue
            heaviest = sorted(entries, key=lambda entry: (-entry[1], entry[0]))
            heaviest = heaviest[: feature.max_length]
            assert row[feature.name] == [i for i, _ in heaviest], feature.name
            if feature.weights:
                assert row[feature.weights_name] == [np.float32(v) for _, v in heaviest]


def test_the_card_counts_absent_fields_shortened_lists_and_probes(prepared, raw):
    rows, card = by_hand(raw), prepared.card
    every = [fields for part in PARTS for *_, fields in rows[part]]
    for feature in SCHEMA.features:
        for part in PARTS:
            absent = np.mean([feature.source not in fields for *_, fields in rows[part]])
            assert card["features"][feature.name]["missing"][part] == pytest.approx(absent)
        if feature.multi_valued:
            longer = sum(len(f.get(feature.source, ())) > feature.max_length for f in every)
            assert card["checks"]["shortened_lists"][feature.name] == longer > 0
    for part in PARTS:
        probes = sum(not click and conversion for _, click, conversion, _ in rows[part])
        assert card["splits"][part]["probes"] == probes > 0
    assert card["days"] == {
        "train": "the other 90% of sample_skeleton_train",
        "validation": "10% of sample_skeleton_train, by hash of sample_id, seed 0",
        "test": "sample_skeleton_test",
    }


def test_vocabularies_are_ids_that_train_shows_ten_times(prepared, raw):
    for name in ("item_id", "user_shops", "cross_intentions"):
        feature = SCHEMA.feature(name)
        counts = Counter()
        for row in prepared.table("train", [name]).to_pylist():
            counts.update([row[name]] if isinstance(row[name], int) else row[name])
        counts.pop(-1, None)
        known = sorted((v for v in counts if counts[v] >= 10), key=lambda v: (-counts[v], v))
        assert len(known) > 0
        if name == "item_id":
            assert len(known) < len(counts)
        file = prepared.vocabularies / f"{feature.name}.json"
        assert json.loads(file.read_text())["values"] == known


@pytest.mark.job
def test_slices_files_threads_and_the_other_seed_change_only_what_they_should(raw, tmp_path):
    one = prepare("ali_ccp", raw, tmp_path / "one", schema=SMALL)
    settings = Settings(slice_rows=7, threads=1, part_rows=50)
    two = prepare("ali_ccp", raw, tmp_path / "two", schema=SMALL, settings=settings)
    for part in PARTS:
        assert one.table(part).equals(two.table(part))
        assert one.report_table(part).equals(two.report_table(part))
    options = {"seed": 3, "validation_share": 0.3}
    other = prepare("ali_ccp", raw, tmp_path / "other", schema=SMALL, options=options)
    expected = by_hand(raw, **{"seed": 3, "share": 0.3})
    for part in PARTS:
        ids = other.table(part, ["row_id"])["row_id"].to_pylist()
        assert ids == [number for number, *_ in expected[part]]


def test_values_can_be_read_as_numbers(raw, tmp_path):
    count = {"name": "count", "column": "508_value", "dtype": "float32", "side": "context",
             "kind": "numeric", "standardize": False}  # fmt: skip
    out = prepare("ali_ccp", raw, tmp_path / "out", schema=schema_of("item_id", count))
    expected = [f["508"][0][1] if "508" in f else None for *_, f in by_hand(raw)["test"]]
    assert out.table("test")["count"].to_pylist() == expected
    assert set(expected) == {None, 1.0}


def spoil(mine, *lines, name="sample_skeleton_train"):
    path = mine / f"{name}.csv"
    path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))


def run(mine, out, *more):
    SMALL.save(mine.parent / "small.yaml")
    arguments = ["ali-ccp", "--raw", str(mine), "--out", str(out), *more]
    return main([*arguments, "--schema", str(mine.parent / "small.yaml")])


def test_a_tolerated_share_of_malformed_lines_is_counted_quoted_and_left_out(
    mine, tmp_path, capsys
):
    spoil(mine, "301,0,0,half a li", "302,1,x,y,0,", skeleton(303, 1, 0, KEYS[0]))
    assert run(mine, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert (
        "sample_skeleton_train.csv: 2 of 303 lines (0.66%) are malformed, such as line 301" in said
    )
    assert "'301,0,0,half a li'" in said
    assert "more than --malformed-share 0.001" in said
    assert not (tmp_path / "out").exists()
    assert run(mine, tmp_path / "out", "--malformed-share", "0.01") == 0
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert sum(part["rows"] for part in card["splits"].values()) == 341
    assert any("2 of 303 lines" in note for note in card["checks"]["notes"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mine: spoil(mine, skeleton(9, 2, 0, KEYS[0])), "click: a label must be 0 or 1"),
        (
            lambda mine: spoil(
                mine, common(KEYS[2], ("101", 5, 1.0)), name="common_features_train"
            ),
            f"must stand for one record in each common_features file, received different ones "
            f"(1 rows break it, such as {KEYS[2]} in train)",
        ),
        (lambda mine: (mine / "common_features_test.csv").unlink(), "common_features_test.csv"),
        (lambda mine: [p.unlink() for p in mine.iterdir()], "must hold sample_skeleton_train.csv"),
        (lambda mine: (mine / "sample_skeleton_test.csv").write_text(""), "test would hold no"),
        (
            lambda mine: (mine / "sample_skeleton_train.csv").write_bytes(b"\x1f\x8b\n" * 10**5),
            "are malformed",
        ),
        (
            lambda mine: (mine / "sample_skeleton_train.csv").write_bytes(b"\x00" * (65 << 20)),
            "lines must end within 64 MiB",
        ),
    ],
)
def test_what_cannot_be_prepared_ends_as_one_message(mine, tmp_path, capsys, change, message):
    change(mine)
    assert run(mine, tmp_path / "out", "--quiet") == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert {p.name for p in tmp_path.iterdir()} == {"raw", "small.yaml"}


def test_options_that_cannot_be_are_refused(mine, tmp_path, capsys):
    dates = "train=2022-04-25,validation=2022-04-26,test=2022-04-27"
    for more, message in (
        (("--validation-share", "1"), "--validation-share: must lie in 0..1, received 1.0"),
        (("--split", dates), "--split: must be auto, this data set has no days"),
        (("--validation-share", "0"), "validation would hold no exposure"),
        (("--slice-rows", "0"), "slice_rows: must be at least 1"),
    ):
        assert run(mine, tmp_path / "out", *more) == 2
        assert message in capsys.readouterr().err


@pytest.mark.job
def test_repeated_common_records_are_dropped_and_strangers_have_absent_features(mine, tmp_path):
    again = (mine / "common_features_train.csv").read_text().splitlines()[1:3]
    spoil(mine, *again, again[0], name="common_features_train")
    spoil(mine, skeleton(303, 1, 0, "feed", ("205", 77, "1.0"), ("101", 5, "1.0")))
    out = prepare("ali_ccp", mine, tmp_path / "out", schema=SMALL)
    notes = " ".join(out.card["checks"]["notes"])
    assert "3 common records repeat another one: dropped" in notes
    assert "1 exposures have a common_feature_index that the common features do not hold" in notes
    assert "sample_skeleton_train.csv holds fields that nothing uses: 101 (1)" in notes
    rows = out.table("train").to_pylist() + out.table("validation").to_pylist()
    assert len(rows) == 301
    (row,) = (row for row in rows if row["item_id"] == 77)
    assert row["user_id"] == -1
    assert row["user_shops"] == row["user_shops_weights"] == []


@pytest.mark.job
def test_the_test_rows_alone_can_be_prepared_with_a_runs_vocabularies(prepared, mine, tmp_path):
    for path in mine.glob("*_train.csv"):
        path.unlink()
    out = prepare_rows(SCHEMA, mine, tmp_path / "out", prepared.vocabularies)
    assert out.parts == ("all",)
    assert out.table("all").drop(["row_id"]).equals(prepared.table("test").drop(["row_id"]))
