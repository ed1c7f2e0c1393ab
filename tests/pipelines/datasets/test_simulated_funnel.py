"""The funnel simulator: its rates, its truth, its determinism, and that a model can learn it."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from idefn_tf.schema import Schema
from pipelines.datasets.simulated_funnel.funnel_world import PRESETS, Options, World
from pipelines.datasets.simulated_funnel.simulated_funnel import _auc, simulate
from pipelines.prepare import main, prepare, prepare_rows

SCHEMA = Schema.load(Path(__file__).parents[3] / "schemas" / "simulated_funnel.yaml")
DELAYED = Path(__file__).parents[3] / "schemas" / "simulated_funnel_delay.yaml"


def drawn(**options):
    chunks = list(World(Options(**options)).chunks())
    names = vars(chunks[0]).keys() - {"day"}
    return {name: np.concatenate([getattr(c, name) for c in chunks]) for name in names}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("funnel")
    arguments = ["simulated-funnel", "--out", str(root / "out"), "--exposures", "20000"]
    assert main([*arguments, "--preset", "easy", "--seed", "3", "--quiet"]) == 0
    return root


@pytest.fixture(scope="module")
def prepared(folder):
    return prepare("simulated_funnel", folder / "out_raw", folder / "out")


def test_a_taste_moves_both_rates_of_a_user_and_is_written_down_where_there_is_one():
    assert "taste" not in Options().as_json()
    assert Options(taste=1.5).as_json()["taste"] == 1.5
    with pytest.raises(ValueError, match="taste: must be 0 or more, received -1"):
        Options(taste=-1.0)
    plain, tasty = (drawn(exposures=20_000, preset="easy", users=100, taste=t) for t in (0.0, 4.0))
    assert np.array_equal(plain["user"], tasty["user"])
    odds = [np.log(r["oracle_probability"] / (1 - r["oracle_probability"])) for r in (plain, tasty)]
    spread = [
        np.std([values[plain["user"] == user].mean() for user in range(50)]) for values in odds
    ]
    assert spread[1] > 1.5 * spread[0]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_presets_rates_are_hit(preset):
    rows = drawn(exposures=200_000, preset=preset, seed=1, users=20_000, items=10_000)
    ctr, cvr = PRESETS[preset]
    clicked = rows["click"]
    # rows share users and items, hence the margin beyond Bernoulli noise
    assert clicked.mean() == pytest.approx(ctr, rel=0.06)
    assert rows["oracle_probability"][clicked].mean() == pytest.approx(cvr, rel=0.12)


def test_clicks_and_conversions_are_drawn_from_their_probabilities():
    rows = drawn(exposures=300_000, preset="easy", seed=2)
    n = len(rows["click"])
    for outcome, probability in (
        ("click", "ctr"),
        ("oracle_conversion", "oracle_probability"),
        ("oracle_conversion", "cvr"),
    ):
        p = rows[probability]
        for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
            between = np.quantile(p, [low, high])
            at = (p >= between[0]) & (p <= between[1])
            error = rows[outcome][at].mean() - p[at].mean()
            assert abs(error) < 5 * 0.5 / np.sqrt(n / 4), (outcome, probability, low)
    both = rows["click"] & rows["oracle_conversion"]
    assert abs(both.mean() - rows["ctcvr"].mean()) < 5 * 0.3 / np.sqrt(n)


def test_without_selection_clicks_say_nothing_more_than_observables():
    rows = drawn(exposures=200_000, preset="easy", seed=4, selection=0.0)
    np.testing.assert_allclose(rows["ctcvr"], rows["ctr"] * rows["cvr"], rtol=1e-9)
    np.testing.assert_allclose(rows["cvr"], rows["oracle_probability"], rtol=1e-9)


@pytest.mark.job
def test_selection_makes_clicked_rows_convert_more_than_equal_unclicked_ones():
    def excess(selection):
        rows = drawn(exposures=200_000, preset="easy", seed=4, selection=selection, alignment=0.0)
        residual = rows["oracle_conversion"] - rows["cvr"]
        return residual[rows["click"]].mean() - residual[~rows["click"]].mean()

    none, half, full, against = (excess(s) for s in (0.0, 0.5, 1.0, -0.5))
    assert abs(none) < 0.006
    assert 0.01 < half < full
    assert against < -0.01


@pytest.mark.job
def test_alignment_moves_the_unclicked_rate_towards_or_away_from_the_clicked():
    def ratio(alignment):
        rows = drawn(exposures=100_000, preset="easy", seed=5, selection=0.0, alignment=alignment)
        unclicked = rows["oracle_probability"][~rows["click"]].mean()
        return unclicked / rows["oracle_probability"][rows["click"]].mean()

    assert ratio(0.9) < ratio(0.3) < ratio(-0.9)
    assert ratio(-0.9) > 1


def test_the_position_moves_clicks_only():
    rows = drawn(exposures=200_000, preset="easy", seed=6)
    first, last = rows["position"] == 0, rows["position"] == 9
    assert rows["click"][first].mean() > rows["click"][last].mean() + 0.1
    difference = rows["oracle_probability"][first].mean() - rows["oracle_probability"][last].mean()
    assert abs(difference) < 0.005
    assert SCHEMA.feature("position").train_only


def test_users_and_items_repeat_as_in_real_logs(prepared):
    for name in ("user_id", "item_id"):
        counts = np.bincount(prepared.table("train")[name].to_numpy())
        top = np.sort(counts)[::-1]
        assert top[: len(top) // 10].sum() > 0.3 * top.sum()
    out_of_vocabulary = prepared.card["features"]["item_id"]["out_of_vocabulary"]
    assert 0.005 < out_of_vocabulary["test"] < 0.2


@pytest.mark.job
def test_the_same_options_give_the_same_files_and_other_ones_do_not(tmp_path):
    def files(name, **options):
        simulate(tmp_path / name, Options(exposures=500, **options))
        return {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}

    one = files("one", seed=7)
    assert files("two", seed=7) == one
    other = files("three", seed=8)
    assert all(other[name] != one[name] for name in ("users.parquet", "exposures-00000.parquet"))
    fresh = files("four", seed=7, draw=1)  # the same world, other exposures
    assert fresh["users.parquet"] == one["users.parquet"]
    assert fresh["exposures-00000.parquet"] != one["exposures-00000.parquet"]


@pytest.mark.job
def test_chunks_are_bounded_in_order_and_complete():
    options = Options(exposures=3_000_017, preset="ali", users=2000, items=1000)
    chunks = World(options).chunks()
    first, second = next(chunks), next(chunks)
    assert len(first.user) <= 262_144
    assert first.day == second.day == 0
    assert (np.diff(first.second) >= 0).all()
    assert first.second[-1] <= second.second[0]
    rows = len(first.user) + len(second.user) + sum(len(c.user) for c in chunks)
    assert rows == 3_000_017


def test_the_oracle_is_apart_and_the_conversion_seen_needs_a_click(folder, prepared):
    raw = pa.concat_tables(
        [pq.read_table(p) for p in sorted((folder / "out_raw").glob("oracle-*.parquet"))]
    ).to_pandas()
    raw = raw.set_index("exposure_id")
    assert prepared.parts == ("train", "validation", "test")
    for part in prepared.parts:
        rows, report = prepared.table(part).to_pandas(), prepared.report_table(part).to_pandas()
        assert list(report) == [
            "row_id", "conversion_raw", "probe", "oracle_conversion", "oracle_probability"
        ]  # fmt: skip
        assert not [name for name in rows if "oracle" in name]
        assert (report["conversion_raw"] == rows["click"] * report["oracle_conversion"]).all()
        assert (rows["conversion"] == report["conversion_raw"]).all()
        assert not report["probe"].any()
        truth = raw.loc[report["row_id"]]
        assert (truth["oracle_conversion"].to_numpy() == report["oracle_conversion"]).all()
        assert (truth["oracle_probability"].to_numpy() == report["oracle_probability"]).all()
        hidden = (rows["click"] == 0) & (report["oracle_conversion"] == 1)
        assert hidden.sum() > 0.02 * len(rows)
    form = pq.read_schema(prepared.report_files("train")[0])
    assert form.field("oracle_conversion").type == pa.int8()
    assert form.field("oracle_probability").type == pa.float32()


def test_the_ceiling_is_the_auc_of_the_truth(prepared):
    report = prepared.report_table("test").to_pandas()
    expected = roc_auc_score(report["oracle_conversion"], report["oracle_probability"])
    ceiling = prepared.card["ceiling"]["test"]
    assert ceiling["oracle/cvr_auc_true"] == pytest.approx(expected, abs=1e-6)
    assert 0.75 < ceiling["oracle/cvr_auc"] < ceiling["oracle/cvr_auc_true"]
    assert prepared.card["simulation"]["options"]["preset"] == "easy"


def test_auc_counts_ties_half():
    score, label = np.array([1.0, 2.0, 2.0, 3.0, 0.0]), np.array([0, 1, 0, 1, 1])
    assert _auc(score, label) == pytest.approx(roc_auc_score(label, score), abs=1e-6)
    assert _auc(score, np.zeros(5, int)) is None


def test_all_kinds_arrive_prepared(prepared):
    rows = prepared.table("train").to_pandas()
    assert {str(rows[name].dtype) for name in ("user_id", "item_shop", "position")} == {"int64"}
    assert rows["item_price"].dtype == np.float32
    assert (rows["user_age"] == -1).mean() == pytest.approx(0.08, abs=0.05)
    assert rows["item_tags"].str.len().between(0, 4).all()
    assert (rows["item_tags"].str.len() == rows["item_tags_weights"].str.len()).all()
    assert set(rows["position"]) == set(range(10))


def test_observables_carry_the_signal(prepared):
    """Target rates of two coarse fields, learned on train, already rank test conversions."""
    train, test = (prepared.table(part).to_pandas() for part in ("train", "test"))
    score = np.zeros(len(test))
    for name in ("user_segment", "item_category"):
        rate = (train.groupby(name)["conversion"].sum() + 1) / (train.groupby(name).size() + 50)
        score += np.log(test[name].map(rate).fillna(rate.mean()))
    report = prepared.report_table("test").to_pandas()
    assert roc_auc_score(report["oracle_conversion"], score) > 0.62


@pytest.mark.job
def test_fresh_exposures_of_the_same_world_can_be_evaluated(folder, prepared, tmp_path):
    options = Options(exposures=20_000, preset="easy", seed=3, draw=1)
    simulate(tmp_path / "raw", options)
    out = prepare_rows(prepared.schema, tmp_path / "raw", tmp_path / "rows", prepared.vocabularies)
    assert out.card["splits"]["all"]["rows"] == 20_000
    assert out.card["features"]["user_id"]["out_of_vocabulary"]["all"] < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "hard"}, "preset: must be one of"),
        ({"exposures": 9}, "exposures: must be at least 10"),
        ({"selection": 1.5}, "selection: must lie in -1..1"),
        ({"alignment": float("nan")}, "alignment: must lie in -1..1"),
        ({"seed": -1}, "seed: must not be negative"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Options(**options)


def test_a_raw_folder_without_exposures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold exposures-\*\.parquet"):
        prepare("simulated_funnel", tmp_path, tmp_path / "out")


def test_help_tells_meaning_and_default_of_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["simulated-funnel", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--exposures EXPOSURES rows to draw (default: 120000)" in said
    assert "--users USERS how many users; one for 30 exposures by default --items" in said
    assert "converting, -1..1 (default: 0.3)" in said  # a meaning of two lines
    for field in fields(Options):
        of_field = said.split(f" --{field.name.replace('_', '-')} ")[-1].split(" --")[0]
        assert f"(default: {field.default})" in of_field or "by default" in of_field, field.name


@pytest.mark.job
@pytest.mark.parametrize(
    ("delay", "schema", "told"),
    [("exponential", None, True), ("exponential", DELAYED, False), ("none", None, False)],
)
def test_times_that_the_schema_drops_are_told(tmp_path, capsys, delay, schema, told):
    given = ["--schema", str(schema), "--as-of", "2024-03-10"] if schema else []
    arguments = ["simulated-funnel", "--out", str(tmp_path / "out"), "--exposures", "2000"]
    assert main([*arguments, "--delay", delay, *given, "--threads", "1", "--quiet"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert ("--delay: the schema names no labels.click_time" in said) == told


def test_the_simulation_is_not_repeated(folder, capsys):
    arguments = ["simulated-funnel", "--out", str(folder / "out"), "--exposures", "20000"]
    assert main([*arguments, "--preset", "easy", "--seed", "3"]) == 0
    said = capsys.readouterr().err
    assert "already holds this simulation" in said
    assert "already prepared" in said
