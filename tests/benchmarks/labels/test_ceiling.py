"""The ceiling's study: its cells, its settings, and a gain computed by hand."""

import numpy as np
import pytest

from benchmarks.labels.ceiling import Cell, cells, config_of
from benchmarks.labels.ceiling_plot import save_plot
from benchmarks.labels.ceiling_table import read_scores, study, to_markdown


def test_whole_pairs_of_the_first_alpha_come_first():
    found = list(cells([0, 1]))
    assert len(found) == len({cell.name for cell in found}) == 16
    assert found[0].name == "aggregates-all_negative-0.5-0"
    assert [cell.alpha for cell in found] == [0.5] * 8 + [0.8] * 8
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert (one.method, other.method) == ("all_negative", "oracle_relabel")
        assert (one.history, one.alpha, one.seed) == (other.history, other.alpha, other.seed)


def test_both_sides_of_a_pair_differ_in_what_they_are_told_alone():
    one, other = (
        config_of(Cell("aggregates", method, 0.8, 3)).model_dump(mode="json")
        for method in ("all_negative", "oracle_relabel")
    )
    assert (one.pop("method"), other.pop("method")) == ("all_negative", "oracle_relabel")
    assert one == other
    assert one["model"] == {"alpha": 0.8, "gamma": 30}
    assert one["training"]["seed"] == 3
    # history takes the study's settings, no history the shipped ones
    assert one["optimizer"]["l2_rows"] == 4.0
    plain = config_of(Cell("none", "all_negative", 0.5, 0)).model_dump(mode="json")
    assert plain["optimizer"]["l2_rows"] == 0.1


@pytest.fixture
def made(tmp_path):
    """Scores of two seeds: the truth ranks both likes first, AllNegative the clicked one alone."""
    columns = {
        "click": np.array([1.0, 1.0, 0.0, 0.0]),
        "conversion": np.array([1.0, 0.0, 0.0, 0.0]),
        "conversion_raw": np.array([1.0, 0.0, 1.0, 0.0]),
    }
    (tmp_path / "scores").mkdir()
    scores = {"all_negative": [0.9, 0.5, 0.1, 0.3], "oracle_relabel": [0.9, 0.2, 0.8, 0.3]}
    for method, values in scores.items():
        for seed in (0, 1):
            path = tmp_path / "scores" / f"aggregates-{method}-0.5-{seed}.npz"
            np.savez(path, test=np.array(values, np.float32))
    np.savez(tmp_path / "scores" / "none-all_negative-0.5-0.npz", test=np.zeros(4))  # no pair yet
    return tmp_path, columns


def test_the_gain_by_hand(made, tmp_path):
    folder, columns = made
    found = study(read_scores(folder, "test"), columns, np.arange(4), np.arange(4), draws=40)
    (pair,) = found["pairs"]
    assert (pair["history"], pair["alpha"], pair["seeds"]) == ("aggregates", 0.5, 2)
    # of the four pairs of a like and another row, AllNegative has two right, the truth all
    assert pair["all_negative"]["all_raw"]["mean"] == pytest.approx(0.5)
    assert pair["gain"]["all_raw"]["mean"] == pytest.approx(0.5)
    assert pair["gain"]["unclicked_raw"]["mean"] == pytest.approx(1.0)
    assert pair["oracle_relabel"]["clicked"]["mean"] == 1.0
    page = to_markdown({**found, "command": "command"})
    assert "| with history | 0.5 | 0.5000 | 1.0000 | +0.5000 |" in page
    save_plot(tmp_path / "picture.png", found)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_cells_is_named(tmp_path):
    with pytest.raises(ValueError, match="--out: must hold finished cells"):
        read_scores(tmp_path, "test")
