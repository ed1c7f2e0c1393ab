"""Worlds of hidden clicks: which rows, what a model sees of them, what the report knows."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.labels.hidden_clicks import hide, main, write_world
from idefn_tf.data import to_arrays
from pipelines.experiment.evaluation import report_columns
from pipelines.preparation.prepared_folder import Prepared


@pytest.fixture
def rows():
    """Six rows, four of them clicked, three of those converted."""
    table = {
        "row_id": pa.array([0, 1, 2, 3, 4, 5], pa.int64()),
        "item": pa.array([7, 8, 9, 7, 8, 9], pa.int64()),
        "click": pa.array([1, 0, 1, 1, 0, 1], pa.int8()),
        "conversion": pa.array([1, 0, 1, 0, 0, 1], pa.int8()),
    }
    return pa.table(table).replace_schema_metadata({b"mark": b"kept"})


def test_half_of_the_clicks_are_hidden_and_the_report_knows_them(rows):
    kept, report = hide(rows, np.zeros(6), "uniform", 0.5, seed=0)
    assert kept["row_id"].to_pylist() == report["row_id"].to_pylist() == [0, 2, 3, 5]
    click, conversion = (np.asarray(kept[name]) for name in ("click", "conversion"))
    truth = [1, 1, 0, 1]
    assert click.sum() == 2
    np.testing.assert_array_equal(conversion, click * truth)
    assert report["oracle_conversion"].to_pylist() == truth
    assert report["conversion_raw"].to_pylist() == truth
    np.testing.assert_array_equal(np.asarray(report["probe"]), (1 - click) * truth)
    assert kept.schema.field("click").type == pa.int8()
    assert kept.schema.metadata == {b"mark": b"kept"}  # where sequences lie


def test_by_propensity_the_sure_clicks_stay(rows):
    ctr = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    kept, _ = hide(rows, ctr, "propensity", 0.5, seed=3)
    assert kept["click"].to_pylist() == [1, 0, 1, 0]


@pytest.mark.parametrize("way", ["uniform", "propensity"])
def test_a_world_is_a_prepared_folder_of_the_clicked_rows(simulated, tmp_path, way):
    data = simulated(tmp_path, 4000)
    ctr = {part: np.full(data.table(part).num_rows, 0.3) for part in data.parts}
    write_world(data, tmp_path / "worlds" / way, way, ctr)
    world = Prepared.open(tmp_path / "worlds" / way)
    assert world.parts == data.parts
    for part in data.parts:
        before = to_arrays(data.schema, data.table(part))
        after = to_arrays(world.schema, world.table(part))
        clicked = before["click"] == 1
        assert len(after["click"]) == clicked.sum()
        truth = report_columns(world, part)["oracle_conversion"]
        np.testing.assert_array_equal(truth, before["conversion"][clicked])
        np.testing.assert_array_equal(after["user_id"], before["user_id"][clicked])
        assert after["click"].sum() == pytest.approx(clicked.sum() / 2, abs=1)
        np.testing.assert_array_equal(after["conversion"], after["click"] * truth)
        told = world.card["splits"][part]
        assert told["ctr"] == after["click"].mean()
        assert told["ctcvr"] == pytest.approx(after["conversion"].mean())
    assert world.card["fingerprint"] != data.card["fingerprint"]
    assert world.card["hidden_clicks"]["way"] == way


def test_worlds_need_the_whole_log(tmp_path, capsys):
    assert main(["worlds", "--worlds", str(tmp_path), "--quiet"]) != 0
    assert "--data: must be given with worlds" in capsys.readouterr().err
