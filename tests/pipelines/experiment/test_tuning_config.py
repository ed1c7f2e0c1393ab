"""What a config's `tuning` may say: errors name the key, shipped spaces make configs."""

import json
from itertools import product
from pathlib import Path

import keras_tuner
import pytest

from pipelines.experiment.config import Config
from pipelines.tuning import trials

ROOT = Path(__file__).resolve().parents[3]
LAYERS = {"values": [1, 2]}


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
        (
            {"model.alpha": {"low": 0.5, "high": 1.5}},
            r"^tuning\.space\.model\.alpha\.high: must be a finite number above 0 and below 1, "
            r"received 1\.5; leave it out for 0\.8$",
        ),
        (
            {"model.transport.epsilon": {"values": [0.1, "x"]}},
            r"^tuning\.space\.model\.transport\.epsilon\.values\[1\]: must be a finite number "
            r"above 0, received 'x'; leave it out for 0\.05$",
        ),
        (
            {"model.transport.epsilonn": {"values": [0.1, 0.2]}},
            r"^tuning\.space\.model\.transport\.epsilonn: unknown key.*did you mean 'epsilon'\?$",
        ),
        (
            {"model.transport": {"values": [{"memory": 4}, {"memry": 4}]}},
            r"^tuning\.space\.model\.transport\.values\[1\]\.memry: unknown key.*'memory'\?$",
        ),
        ({"method": {"values": ["idefn", "esm"]}}, r"method\.values\[1\]: must be one of .*'esmm'"),
        ({"backbone.name": {"values": ["mlp", "ml"]}}, r"backbone\.name\.values\[1\]: .*'mlp'\? A"),
        (
            {
                "backbone.name": {"values": ["mlp", "dcnv2"]},
                "backbone.cross_layers": {"values": [1]},
            },
            r"^tuning\.space\.backbone\.cross_layers: unknown key.*\(MLP\)",
        ),
        (
            {"optimizer.learning_rate": {"low": 0.0, "high": 1.0}},
            r"learning_rate\.low: must be a f",
        ),
        (
            {"optimizer.learning_rte": {"low": 0.1, "high": 1.0}},
            r"rte: unknown.*'learning_rate'",
        ),
        (
            {"features.embedding_width": {"values": [8, "16"]}},
            r"width\.values\[1\]: must be a who",
        ),
        (
            {"training.batch_size": {"low": 1.5, "high": 9.5}},
            r"batch_size\.low: must be a whole n",
        ),
        ({"trunk.name": {"values": ["mmoe", "mmo"]}}, r"trunk\.name\.values\[1\]: must be one of"),
    ],
)
def test_a_space_that_no_config_has_is_refused_by_key(space, words):
    with pytest.raises(ValueError, match=words):
        Config.parse({"method": "idefn", "tuning": {"space": space}})


def test_a_condition_leaves_a_class_its_own_arguments():
    space = {
        "backbone.name": {"values": ["mlp", "dcnv2"]},
        "backbone.cross_layers": {"values": [1, 2], "when": {"backbone.name": ["dcnv2"]}},
        "model.preset": {"values": ["idefn", "idefn-paper"]},
    }
    config = Config.parse({"method": "idefn", "tuning": {"space": space}})
    chosen = {"model.preset": "idefn-paper", "backbone.name": "dcnv2", "backbone.cross_layers": 2}
    made = trials.trial_config(config, chosen, 1, config.tuning.objective)
    assert made.model["ctcvr"] == "product"
    assert made.backbone == {"name": "dcnv2", "cross_layers": 2}


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
