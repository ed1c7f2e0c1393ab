"""JSON Schema of configs, for editors: of the same records that a config is checked by."""

from __future__ import annotations

import copy
from typing import Any

from idefn_tf.backbones import BACKBONES
from idefn_tf.encoders import ENCODERS
from idefn_tf.models import METHODS, TRUNKS
from idefn_tf.models.feedback import FEEDBACKS
from idefn_tf.optimizers import OPTIMIZERS
from idefn_tf.tuning.goal import METRICS
from pipelines.experiment.config_groups import (
    NAMES,
    features_options,
    named_record,
)


def config_schema(base: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a config.

    Args:
        base: what pydantic knows of `Config`: training and tuning, and that the rest are groups.
    """
    schema = copy.deepcopy(base)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$defs"]["Goal"] = _goal()
    groups = schema["properties"]
    groups["features"] = features_options().model_json_schema()
    groups["backbone"] = _named("backbone")
    groups["trunk"] = {"anyOf": [_named("trunk"), {"type": "null"}], "default": None}
    groups["encoder"] = _named("encoder")
    groups["feedback"] = _named("feedback")
    groups["optimizer"] = _named("optimizer")
    own = {group: shipped(group) for group in ("backbone", "trunk", "encoder", "feedback")}
    names: dict[str, Any] = {
        group: {"properties": {"name": {"enum": known}}} for group, known in own.items()
    }
    names["method"] = {"enum": shipped("model")}
    schema["allOf"] = [
        *(
            {
                "if": {"properties": {"method": {"const": name}}, "required": ["method"]},
                "then": {"properties": {"model": _model(name)}},
            }
            for name in shipped("model")
        ),
        # what is imported may bring other names
        {"if": {"not": {"required": ["imports"]}}, "then": {"properties": names}},
    ]
    return schema


def shipped(group: str) -> list[str]:
    """Returns the names of this library's own classes, which an editor knows.

    Keras' optimizers differ between its versions and are left out.
    """
    known = {
        "model": METHODS,
        "backbone": BACKBONES,
        "trunk": TRUNKS,
        "encoder": ENCODERS,
        "feedback": FEEDBACKS,
        "optimizer": OPTIMIZERS,
    }
    classes = known[group].items()
    return sorted(name for name, cls in classes if cls.__module__.startswith("idefn_tf."))


def _goal() -> dict[str, Any]:
    """Returns the short forms of a goal, which pydantic cannot tell."""
    names = sorted(f"{space}/{metric}" for space, metrics in METRICS.items() for metric in metrics)
    weight = {"type": "number", "exclusiveMinimum": 0}
    weights = {
        "type": "object",
        "properties": dict.fromkeys(names, weight),
        "additionalProperties": False,
        "minProperties": 1,
    }
    terms = {"type": "object", "properties": {"terms": weights}, "required": ["terms"]}
    return {"anyOf": [{"enum": names}, weights, terms]}


def _model(method: str) -> dict[str, Any]:
    record = named_record("model", method)
    assert record is not None
    return record.model_json_schema()


def _named(group: str) -> dict[str, Any]:
    """Returns a group whose keys depend on its `name`."""
    cases = []
    for name in shipped(group):
        record = named_record(group, name)
        assert record is not None
        keys = record.model_json_schema()
        keys["properties"]["name"] = {"const": name}
        needed = {"if": {"properties": {"name": {"const": name}}}, "then": keys}
        if name != NAMES.get(group):
            needed["if"]["required"] = ["name"]
        cases.append(needed)
    required = [] if group in NAMES else ["name"]
    return {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": required,
        "allOf": cases,
    }
