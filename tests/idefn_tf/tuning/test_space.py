"""The search space says what is tried, in types that survive, and refuses what cannot be meant."""

import keras_tuner
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from idefn_tf.tuning import Dimension, SearchSpace
from idefn_tf.tuning.space import put

SPACE = {
    "method": {"values": ["idefn", "all_negative"]},
    "model.kappa": {"low": 0.001, "high": 0.05, "log": True, "when": {"method": ["idefn"]}},
    "model.transport.solver": {
        "values": ["proximal", "sinkhorn"],
        "when": {"method": ["idefn"]},
    },
    "model.transport.steps": {
        "values": [100, 500],
        "when": {"model.transport.solver": ["proximal"]},
    },
    "backbone.units": {"values": [[64], [128, 64]]},
    "training.batch_size": {"low": 256, "high": 4096, "log": True},
}


def space(value=SPACE):
    return SearchSpace.model_validate(value)


def test_values_are_put_at_their_keys_in_the_types_of_the_space():
    hp = keras_tuner.HyperParameters()
    base = {"method": "esmm", "model": {"alpha": 0.8}, "backbone": {"name": "mlp"}}
    found = space().settings(hp, base)
    assert found == {
        "method": "idefn",
        "model": {"alpha": 0.8, "kappa": 0.001, "transport": {"solver": "proximal", "steps": 100}},
        "backbone": {"name": "mlp", "units": [64]},
        "training": {"batch_size": 256},
    }
    assert base == {"method": "esmm", "model": {"alpha": 0.8}, "backbone": {"name": "mlp"}}


def test_conditions_hold_through_two_levels():
    hp = keras_tuner.HyperParameters()
    declared = space()
    declared.declare(hp)
    hp.values["method"] = '"all_negative"'
    assert set(declared.declare(hp)) == {"method", "backbone.units", "training.batch_size"}
    hp.values |= {"method": '"idefn"', "model.transport.solver": '"sinkhorn"'}
    chosen = declared.declare(hp)
    assert chosen["model.transport.solver"] == "sinkhorn"
    assert "model.transport.steps" not in chosen


def test_a_value_survives_the_way_from_chief_to_worker():
    hp = keras_tuner.HyperParameters()
    declared = space()
    declared.declare(hp)
    hp.values |= {"model.kappa": 0.0123456, "backbone.units": "[128, 64]"}
    sent = keras_tuner.HyperParameters.from_proto(hp.to_proto())
    chosen = declared.declare(sent)
    assert chosen == declared.declare(hp)
    assert chosen["model.kappa"] == 0.0123456
    assert chosen["backbone.units"] == [128, 64]


def test_steps_of_a_range():
    assert Dimension(low=0.001, high=0.1, log=True, steps=3).choices == (0.001, 0.01, 0.1)
    assert Dimension(low=0.0, high=1.0, steps=5).choices == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert Dimension(low=1, high=3, steps=3).choices == (1, 2, 3)
    assert Dimension(low=1, high=10).choices is None


@given(
    low=st.floats(1e-6, 1e3),
    ratio=st.floats(1.01, 1e4),
    steps=st.integers(2, 12),
    log=st.booleans(),
)
def test_steps_stay_in_the_range_and_rise(low, ratio, steps, log):
    points = Dimension(low=low, high=low * ratio, steps=steps, log=log).choices
    assert points[0] == pytest.approx(low, rel=1e-5)
    assert points[-1] == pytest.approx(low * ratio, rel=1e-5)
    assert list(points) == sorted(points)


def test_one_value_is_not_searched_but_put_in_where_it_applies():
    declared = space(
        {
            "method": {"values": ["idefn", "esmm"]},
            "model.rule": {"values": ["top_k"], "when": {"method": ["idefn"]}},
        }
    )
    hp = keras_tuner.HyperParameters()
    assert declared.declare(hp) == {"method": "idefn", "model.rule": "top_k"}
    assert [p.name for p in hp.space] == ["method"]
    hp.values["method"] = '"esmm"'
    assert declared.declare(hp) == {"method": "esmm"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "at least one key"),
        ({"model.kappa": {}}, "`values` or `low` and `high`"),
        ({"model.kappa": {"low": 0.1}}, "both `low` and `high`"),
        ({"model.kappa": {"low": 0.2, "high": 0.1}}, "low: must be below high"),
        ({"model.kappa": {"low": 0.0, "high": 0.1, "log": True}}, "above 0"),
        ({"model.kappa": {"values": [1, 2], "low": 1, "high": 2}}, "either"),
        ({"model.kappa": {"values": [1, 1]}}, "must differ"),
        ({"model.kappa": {"values": []}}, "at least one value"),
        ({"model.kappa": {"values": [1, 2], "log": True}}, "belong to a range"),
        ({"model.kappa": {"low": 0.1, "high": 0.2, "lgo": True}}, "lgo"),
        ({"Model kappa": {"values": [1, 2]}}, "dotted key"),
        ({"a": {"values": [1, 2], "when": {"b": [1]}}}, "stands before"),
        ({"a": {"values": [1, 2]}, "b": {"values": [1, 2], "when": {"a": [3]}}}, "among"),
        ({"a": {"values": [1, 2]}, "b": {"values": [1, 2], "when": {"a": []}}}, "among"),
        ({"a": {"values": [1, 2], "when": {"b": [1], "c": [1]}}}, "when: must name one key"),
        ({"a": {"low": 1.0, "high": 2.0}, "b": {"values": [1, 2], "when": {"a": [1]}}}, "values"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(value, words):
    with pytest.raises(ValidationError, match=words) as caught:
        space(value)
    for key in list(value)[-1:]:
        assert key in str(caught.value)


def test_a_grid_needs_an_end():
    with pytest.raises(ValueError, match=r"tuning\.space\.model\.kappa: a grid needs"):
        space({"model.kappa": {"low": 0.1, "high": 0.2}}).require_finite()
    space({"model.kappa": {"low": 0.1, "high": 0.2, "steps": 3}}).require_finite()


def test_a_key_that_leads_through_a_number_is_refused():
    with pytest.raises(ValueError, match="'kappa' is not a group"):
        put({"model": {"kappa": 0.1}}, {"model.kappa.x": 1})
