"""Presets: those of code and those of the shipped configs are one thing."""

from pathlib import Path

import pytest
import yaml

from idefn_tf.models import IdeFN
from idefn_tf.models.presets import PRESETS

CONFIGS = Path(__file__).parents[3] / "pipelines" / "configs"


@pytest.mark.parametrize(
    ("preset", "config"),
    [
        (preset, f"{family}/{preset.replace('-', '.', 1).replace('-', '_')}.yaml")
        for family in ("kuairand", "simulated")
        for preset in PRESETS
    ]
    + [("idefn", "table/idefn.yaml")],
)
def test_the_configs_name_the_preset_and_what_belongs_to_the_data(preset, config):
    """The target that alpha chooses and the steps of an epoch are the data's."""
    model = yaml.safe_load((CONFIGS / config).read_text())["model"]
    assert model.pop("preset") == preset
    assert set(model) <= {"alpha", "gamma", "transport"}
    assert set(model.get("transport", {})) <= {"warmup_steps"}


def test_a_model_takes_a_preset_and_what_goes_before_it(tiny_features):
    model = IdeFN.from_preset("idefn", tiny_features(), alpha=0.5, transport={"memory": 16})
    assert model.alpha == 0.5
    assert model.rpot.kappa == "auto"
    assert model.representation.as_config() == "hidden"
    assert model.transport_options == {**PRESETS["idefn"]["transport"], "memory": 16}
    assert PRESETS["idefn"]["transport"]["memory"] == 128
    paper = IdeFN.from_preset("idefn-paper", tiny_features())
    assert (paper.rpot.marginals, paper.rpot.rule, paper.ctcvr) == ("literal", "argmax", "product")


def test_an_unknown_preset_names_the_known(tiny_features):
    with pytest.raises(ValueError, match=r"preset: must be one of \['idefn', .*received 'ideal'"):
        IdeFN.from_preset("ideal", tiny_features())
