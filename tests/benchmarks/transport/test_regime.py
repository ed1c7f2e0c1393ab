"""The map of regimes on problems whose exact plan is known."""

import numpy as np
import pytest

from benchmarks.transport.regime import regime, to_markdown
from benchmarks.transport.regime_plot import save_plot

pytest.importorskip("ot")


def test_far_apart_positives_are_nearest_positive_matching():
    # two positives, each with a row of its own; kappa N_U = 2 rows, one per positive
    cost = np.array([[0.0, 9.0, 5.0, 5.0], [9.0, 0.0, 5.0, 5.0]])
    found = regime(cost, 0.5)
    assert found["ratio"] == pytest.approx(1.0)
    assert found["argmax"] == found["matched_fraction"] == found["top_k"] == 2
    assert found["at_nearest"] == pytest.approx(1.0)
    assert found["binding"] == pytest.approx(1.0)
    assert found["overlap"] == pytest.approx(1.0)


def test_clustered_positives_must_share_and_differ_from_nearest():
    # both positives are nearest to row 0, which holds one row's mass; the other goes to row 1 or 2,
    # though row 3 is nearer to positive 0 than row 1 is to positive 1
    cost = np.array([[0.0, 9.0, 9.0, 2.0], [0.0, 3.0, 9.0, 9.0]])
    found = regime(cost, 0.5)
    assert found["at_nearest"] == pytest.approx(0.5)
    assert found["top_k"] == 2
    assert found["overlap"] == pytest.approx(1.0)


def test_below_half_a_row_per_positive_only_top_k_labels():
    rng = np.random.default_rng(0)
    cost = rng.random((40, 1000))
    found = regime(cost, 0.01)  # a quarter of a row each
    assert found["ratio"] == pytest.approx(0.25)
    assert found["argmax"] == 0
    assert found["top_k"] == 10


def test_nothing_matched_has_no_shares():
    found = regime(np.ones((2, 10)), 0.0)
    assert found["top_k"] == 0
    assert np.isnan(found["overlap"])


def test_page_and_picture(tmp_path):
    row = {"representation": "embeddings", "bank": 0, "kappa": 0.5}
    row |= regime(np.random.default_rng(0).random((2, 8)), 0.5)
    runs = [{"method": "idefn", "rows": [row, {**row, "overlap": None}]}]
    page = to_markdown({"data": "made", "command": "c", "batches": 1, "runs": runs})
    assert "| 0 | 0.5 | 2.00 |" in page
    assert "none" in page
    save_plot(tmp_path / "regime.png", runs)
    assert (tmp_path / "regime.png").stat().st_size > 10_000
