"""Experiment configs: unknown keys are errors, overrides reach any depth."""

from pathlib import Path

import pytest

from pipelines.experiment.config import Config

CONFIGS = sorted((Path(__file__).parents[3] / "pipelines" / "configs").glob("*/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_config_loads_and_survives_saving(path, tmp_path):
    config = Config.load(path)
    config.save(tmp_path / "config.yaml")
    # a run's config says what was trained; what a search may try stays in the search's own file
    assert Config.load(tmp_path / "config.yaml") == config.model_copy(update={"tuning": None})


def test_an_override_reaches_any_depth_and_is_typed(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("method: all_negative\n")
    config = Config.load(path, ["model.gamma=7", "backbone.units=[8, 4]", "training.epochs=3"])
    assert config.model == {"gamma": 7}
    assert config.backbone["units"] == [8, 4]
    assert config.training.epochs == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: esmm\nmodle: {}\n", r"c\.yaml:2: modle: unknown key"),
        ("method: esmm\nmethod: esmm\n", r"c\.yaml:2: the key 'method' is given twice"),
        ("method: esmn\n", r"method: must be one of .*received 'esmn'"),
        ("method: esmm\nmodel: {kappa: 1}\n", r"c\.yaml:2: model\.kappa: unknown key.*\(ESMM\)"),
        ("method: esmm\ntraining:\n  epochs: 0\n", r"c\.yaml:3: training\.epochs"),
        ("method: esmm\ntraining: {monitor: {space: oracle}}\n", r"training\.monitor\.space"),
        ("{}\n", r"method: is required"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Config.load(path)


@pytest.mark.parametrize("override", ["model.gamma", "=3", "method.deep=3"])
def test_an_override_of_another_form_is_refused(tmp_path, override):
    path = tmp_path / "c.yaml"
    path.write_text("method: all_negative\n")
    with pytest.raises(ValueError, match="--set"):
        Config.load(path, [override])
