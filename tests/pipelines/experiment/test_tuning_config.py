"""What a config's `tuning` may say: errors name the key, shipped spaces make configs."""

import json
from itertools import product
from pathlib import Path

import keras_tuner
import pytest

from pipelines.experiment.config import Config
from pipelines.tuning import trials

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"model.kapa": {"values": [1, 2]}}, r"tuning\.space\.model\.kapa.*takes no 'kapa'"),
        ({"model.alpha": {"low": 2, "high": 1}}, r"tuning\.space\.model\.alpha.*below"),
        ({"training.epochs": {"values": [1, 2]}}, "decided by the search itself"),
        ({"training.monitor.space": {"values": ["all_raw"]}}, "decided by the search itself"),
        ({"colour": {"values": [1, 2]}}, r"tuning\.space\.colour: must begin with"),
        ({"model": {"values": [{}, {"alpha": 0.5}]}}, "name a setting"),
        (
            {"method": {"values": ["idefn", "esmm"]}, "model.kappa": {"values": [0.1, 0.2]}},
            "'esmm' takes no 'kappa'.*when",
        ),
    ],
)
def test_a_space_that_no_config_has_is_refused_by_key(space, words):
    with pytest.raises(ValueError, match=words):
        Config.parse({"method": "idefn", "tuning": {"space": space}})


def test_arguments_that_only_one_method_takes_must_move_into_the_space():
    space = {"method": {"values": ["idefn", "esmm"]}}
    with pytest.raises(ValueError, match=r"model\.kappa: is not taken by 'esmm'.*when"):
        Config.parse({"method": "idefn", "model": {"kappa": 0.1}, "tuning": {"space": space}})


@pytest.mark.parametrize(
    "path", sorted((ROOT / "pipelines/configs").glob("*/*.tune.yaml")), ids=lambda p: p.parent.name
)
def test_shipped_spaces_make_configs_at_every_corner(path):
    config = Config.load(path)
    hp = keras_tuner.HyperParameters()
    space = config.tuning.space
    space.declare(hp)
    for method, backbone in product(
        *(dict(space.items())[k].labels for k in ("method", "backbone.name"))
    ):
        hp.values |= {"method": method, "backbone.name": backbone}
        made = trials.trial_config(config, space.declare(hp), 2, config.tuning.objective)
        assert made.backbone["name"] == json.loads(backbone)
        assert not made.training.audit
