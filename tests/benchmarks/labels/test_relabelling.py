"""The audit over training: one length for every method, and nothing where it is mute."""

import math

import pytest

from benchmarks.labels.relabelling import VARIANTS, cells_of, collect, to_markdown
from benchmarks.labels.relabelling_plot import save_plot

HEADER = (
    "epoch,unclicked,relabelled,share,true,prevalence,precision,precision_low,precision_high,recall,"
    "lift,lift_low,lift_high,overlap,mean_cvr_unclicked\n"
)


@pytest.fixture
def runs(tmp_path):
    """A run whose first epoch relabelled nothing, as during a warm-up."""
    (cell,) = cells_of(tmp_path, "kuairand", ["idefn"], 2)
    cell.folder.mkdir(parents=True)
    for name in ("config.yaml", "schema.yaml", "card.json", "cell.json"):
        (cell.folder / name).write_text("{}")
    (cell.folder / "audit.csv").write_text(
        HEADER
        + "0,100,0,0,0,0.01,nan,nan,nan,0,nan,nan,nan,nan,0.02\n"
        + "1,100,20,0.2,1,0.01,0.05,0.01,0.1,1,5,1,10,nan,0.02\n"
    )
    return collect([cell])


def test_every_method_trains_as_long_with_the_audit_on(tmp_path):
    for cell in cells_of(tmp_path, "kuairand", VARIANTS, 3):
        training = cell.config.training
        assert (training.epochs, training.patience, training.audit) == (3, 3, True)


def test_what_is_not_defined_is_null_and_left_out_of_the_page(runs):
    first, last = runs[0]["epochs"]
    assert first["precision"] is None
    assert math.isclose(last["lift"], 5.0)
    page = to_markdown("slice", runs, "command")
    assert "| 20 | 0.0500 | 0.0500 | 0.0500 | 5.0 |" in page


def test_the_picture_is_drawn_with_an_epoch_that_has_no_label(runs, tmp_path):
    save_plot(tmp_path / "picture.png", runs)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_not_finished_is_left_out(tmp_path):
    assert collect(cells_of(tmp_path, "kuairand", ["idefn"], 2)) == []
