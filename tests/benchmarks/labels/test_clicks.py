"""Scores between CTCVR and the CVR after a click: by hand, judged, drawn."""

import numpy as np
import pytest

from benchmarks.labels.clicks import between, read_scores, study, to_markdown
from benchmarks.labels.clicks_plot import save_plot
from idefn_tf.calibration import entire_space_cvr

SPACES = ("all_raw", "clicked")


@pytest.fixture
def folder(tmp_path):
    """Two seeds of AllNegative at alpha .8 and one at .5, four rows each."""
    ctr = np.array([0.9, 0.5, 0.2, 0.6])
    click_cvr = np.array([0.1, 0.4, 0.8, 0.05])
    for name, alpha, seeds in (("all_negative", 0.8, (0, 1)), ("all_negative_50", 0.5, (0,))):
        for seed in seeds:
            place = tmp_path / name / f"seed{seed}"
            place.mkdir(parents=True)
            cvr = entire_space_cvr(click_cvr, ctr, alpha)
            np.savez_compressed(place / "test_scores.npz", ctr=ctr, cvr=cvr, ctcvr=ctr * cvr)
    return tmp_path


@pytest.fixture
def columns():
    return {
        "click": np.array([1.0, 1.0, 0.0, 1.0]),
        "conversion": np.array([0.0, 1.0, 0.0, 0.0]),
        "conversion_raw": np.array([0.0, 1.0, 1.0, 0.0]),
    }


def test_the_ends_are_ctcvr_and_the_cvr_after_a_click(folder):
    scores = read_scores(folder, "all_negative")[1]
    np.testing.assert_allclose(between(scores, 0.8, 0.0), [0.09, 0.2, 0.16, 0.03], rtol=1e-9)
    np.testing.assert_allclose(between(scores, 0.8, 1.0), [0.1, 0.4, 0.8, 0.05], rtol=1e-9)
    # .8 (.2 + .5 x .8) in the third row
    assert between(scores, 0.8, 0.5)[2] == pytest.approx(0.48)


def test_every_share_is_judged_in_every_space(folder, columns, tmp_path):
    found = study(folder, columns, SPACES)
    assert found["seeds"] == 2
    first, last = found["curve"][0], found["curve"][-1]
    # both conversions, .2 and .16, lie above .09 and .03; of the clicked, .2 above both others
    assert first["all_raw"]["mean"] == first["clicked"]["mean"] == last["all_raw"]["mean"] == 1.0
    assert first["all_raw"]["seeds"] == 2
    (half, eight) = found["trained"]
    assert (half["alpha"], half["seeds"], eight["seeds"]) == (0.5, 1, 2)
    page = to_markdown("made", found, "command")
    assert "| 0.5 | 1.0000" in page
    save_plot(tmp_path / "picture.png", found)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_cells_is_named(tmp_path, columns):
    with pytest.raises(ValueError, match=r"--out: .* holds no finished cell of all_negative"):
        study(tmp_path, columns, SPACES)
