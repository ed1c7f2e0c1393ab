"""Delays of the simulator: their laws, what they leave as it was, and what --as-of sees of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from idefn_tf.schema import Schema
from pipelines.datasets.simulated_funnel.delay_law import LAWS, DelayLaw
from pipelines.datasets.simulated_funnel.funnel_world import Options, World
from pipelines.datasets.simulated_funnel.simulated_funnel import simulate
from pipelines.preparation.prepared_folder import Prepared
from pipelines.prepare import main

SCHEMA = Path(__file__).parents[4] / "schemas" / "simulated_funnel_delay.yaml"


@pytest.mark.parametrize("name", LAWS[1:])
def test_delays_follow_their_law(name):
    law, rng = DelayLaw(name, mean=2.0), np.random.default_rng(0)
    scale = np.full(200_000, 1.5)
    drawn = law.draw(rng, scale)
    for days in (0.01, 0.1, 0.5, 1, 2, 3, 5, 20):
        expected = law.survival(np.array(days), 1.5)
        assert (drawn > days).mean() == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(200_000))
    assert law.survival(np.array([-1.0, 0.0])).tolist() == [1, 1]


def test_laws_are_those_of_scipy():
    days = np.array([0.05, 0.3, 1.0, 2.0, 4.0])
    weibull = stats.weibull_min(0.5, scale=2.0 / 2)  # Gamma(3) = 2
    np.testing.assert_allclose(DelayLaw("weibull", 2.0).survival(days), weibull.sf(days))
    wave = stats.gamma(9, scale=0.25)
    mixed = 0.6 * np.exp(-days / 0.1) + 0.4 * wave.sf(days)
    np.testing.assert_allclose(DelayLaw("mixture", 1.0).survival(days), mixed)
    grid = np.linspace(1, 3, 2001)
    assert grid[wave.pdf(grid).argmax()] == pytest.approx(2.0)


def test_items_have_scales_of_their_own():
    scales = DelayLaw("exponential", spread=0.8).scales(np.random.default_rng(1), 400_000)
    assert scales.mean() == pytest.approx(1, abs=0.01)
    assert np.log(scales).std() == pytest.approx(0.8, abs=0.01)
    assert DelayLaw("exponential").scales(np.random.default_rng(1), 5).tolist() == [1] * 5


def test_delays_leave_all_else_as_it_was(tmp_path):
    simulate(tmp_path / "plain", Options(exposures=2000, preset="easy"))
    simulate(tmp_path / "late", Options(exposures=2000, preset="easy", delay="weibull"))
    for path in sorted((tmp_path / "plain").glob("*.parquet")):
        plain, late = pq.read_table(path), pq.read_table(tmp_path / "late" / path.name)
        assert late.select(plain.column_names).equals(plain)
        new = set(late.column_names) - set(plain.column_names)
        kind = path.name.partition("-")[0]
        wanted = {"exposures": {"click_time", "conversion_time"}, "oracle": {"delay_scale"}}
        assert new == wanted.get(kind, set())
    assert not {"delay", "delay_days", "delay_spread", "drift"} & Options().as_json().keys()
    assert Options(delay="weibull").as_json()["delay_days"] == 1.0


def test_a_drift_moves_the_second_half_alone():
    plain, moved = (
        list(World(Options(exposures=4000, preset="easy", drift=drift)).chunks())
        for drift in (0.0, 1.0)
    )
    for one, two in zip(plain, moved, strict=True):
        odds = [c.oracle_probability / (1 - c.oracle_probability) for c in (one, two)]
        np.testing.assert_allclose(odds[1], odds[0] * (np.e if one.day >= 5 else 1.0))
        assert np.array_equal(one.click, two.click)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delay": "uniform"}, "delay: must be one of"),
        ({"delay_days": 0.0}, "delay_days: must be more than 0, received 0"),
        ({"delay_spread": -1.0}, "delay_spread: must be 0 or more, received -1"),
        ({"drift": float("inf")}, "drift: must be a finite number, received inf"),
    ],
)
def test_bad_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Options(**options)


@pytest.mark.job
def test_the_share_that_has_not_arrived_is_the_laws(tmp_path):
    out = tmp_path / "out"
    split = "train=2024-03-01..2024-03-07,validation=2024-03-08,test=2024-03-09"
    words = ["--exposures", "60000", "--preset", "easy", "--delay", "mixture", "--split", split]
    words += ["--delay-spread", "0.5", "--schema", str(SCHEMA), "--as-of", "2024-03-10", "--quiet"]
    assert main(["simulated-funnel", "--out", str(out), *words]) == 0
    found = Prepared.open(out)
    as_of = pd.Timestamp("2024-03-10").value // 10**6
    assert found.card["immature"]["as_of"] == as_of
    assert found.card["immature"]["after_as_of"]["exposures"] == 6000  # the tenth day's
    oracle = pa.concat_tables(
        pq.read_table(p) for p in sorted((tmp_path / "out_raw").glob("oracle-*.parquet"))
    ).to_pandas().set_index("exposure_id")  # fmt: skip
    law = Options(delay="mixture", delay_spread=0.5).law
    rows = pd.concat([found.table(part).to_pandas() for part in ("train", "validation")])
    final = rows[rows["conversion_final"] == 1]
    scale = oracle.loc[final["row_id"], "delay_scale"].to_numpy()
    age = final["elapsed"].to_numpy(float)
    # of those within the window of 7 days
    inside = 1 - law.survival(np.full(len(age), 7.0), scale)
    open_share = (law.survival(age, scale) - (1 - inside)) / inside
    expected = np.clip(open_share, 0, 1)
    late = (final["conversion"] == 0).to_numpy()
    spread = np.sqrt((expected * (1 - expected)).sum())
    assert 50 < late.sum() == pytest.approx(expected.sum(), abs=4 * spread)
    np.testing.assert_array_equal(
        oracle.loc[final["row_id"], "oracle_conversion"], np.ones(len(final))
    )
    assert Schema.load(SCHEMA).labels.delayed
