"""JSON Schema of configs, for editors: of the same records that a config is checked by."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from idefn_tf.models import METHODS
from idefn_tf.models.presets import PRESETS
from idefn_tf.optimizers import OPTIMIZERS
from idefn_tf.tuning.goal import METRICS
from pipelines.experiment.config_groups import (
    OPTIMIZER,
    features_options,
    known_names,
    named_record,
    optimizer_names,
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
    groups["method"] = {"enum": sorted(METHODS)}
    schema["allOf"] = [
        {
            "if": {"properties": {"method": {"const": name}}, "required": ["method"]},
            "then": {"properties": {"model": _model(name)}},
        }
        for name in sorted(METHODS)
    ]
    groups["features"] = features_options().model_json_schema()
    groups["backbone"] = _named("backbone", known_names("backbone"), known_names("backbone"))
    trunk = _named("trunk", known_names("trunk"), known_names("trunk"))
    groups["trunk"] = {"anyOf": [trunk, {"type": "null"}], "default": None}
    # Keras' own optimizers differ between its versions: an editor knows their names alone
    groups["optimizer"] = _named("optimizer", optimizer_names(), sorted(OPTIMIZERS))
    return schema


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
    schema = record.model_json_schema()
    if method in ("idefn", "idefn_t"):
        schema["properties"]["preset"] = {"enum": sorted(PRESETS)}
    return schema


def _named(group: str, names: Iterable[str], described: Iterable[str]) -> dict[str, Any]:
    """Returns a group whose keys depend on its `name`."""
    cases = []
    for name in described:
        record = named_record(group, name)
        assert record is not None
        keys = record.model_json_schema()
        keys["properties"]["name"] = {"const": name}
        needed = {"if": {"properties": {"name": {"const": name}}}, "then": keys}
        if name != OPTIMIZER:
            needed["if"]["required"] = ["name"]
        cases.append(needed)
    required = [] if group == "optimizer" else ["name"]
    return {
        "type": "object",
        "properties": {"name": {"enum": list(names)}},
        "required": required,
        "allOf": cases,
    }
