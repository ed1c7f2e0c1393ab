"""The model card: what a served version is, beside its graph in assets.extra."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import idefn_tf
from idefn_tf._files import read_json
from idefn_tf.export.scorer import Scorer
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema

#: Where the card and the schema lie in a version.
CARD = Path("assets.extra") / "model_card.json"
SCHEMA = Path("assets.extra") / "schema.yaml"
#: Rises with every change of the card's form.
FORM = 1


def describe(
    model: EntireSpaceModel, schema: Schema, scorer: Scorer, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Describes an exported model.

    Args:
        model: the Python model.
        schema: of its raw features.
        scorer: the exported version.
        details: what only the caller knows: data, metrics by split and space, config, calibration.

    Returns:
        A JSON-ready dictionary.
    """
    config = model.get_config()
    return {
        "form": FORM,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "method": {
            "name": getattr(type(model), "method_name", type(model).__name__),
            "class": type(model).__name__,
            "parameters": int(sum(np.prod(v.shape) for v in model.weights)),
            "arguments": {k: v for k, v in config.items() if k not in ("features", "name")},
        },
        "schema": {"name": schema.name, "hash": schema.hash},
        "inputs": {name: kind.name for name, kind in scorer.inputs().items()},
        "outputs": list(scorer.outputs()),
        "signatures": sorted(n for n in scorer.signatures if not n.startswith("__")),
        "train_only": {f.name: f.serving_value for f in schema.features if f.train_only},
        "software": {
            "idefn_tf": idefn_tf.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        **details,
    }


def write(folder: Path, card: Mapping[str, Any], schema: Schema) -> None:
    """Writes card and schema into a version."""
    path = folder / CARD
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(card, indent=1, ensure_ascii=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")
    schema.save(folder / SCHEMA)


def read(version: str | Path) -> dict[str, Any]:
    """Reads a version's card.

    Raises:
        ValueError: if the version has none.
    """
    path = Path(version) / CARD
    if not path.is_file():
        raise ValueError(
            f"version: {version} has no {CARD}; it was not exported by idefn_tf.export"
        )
    return read_json(path, "publish the version anew")


def read_schema(version: str | Path) -> Schema:
    """Reads the schema that a version was exported with.

    Raises:
        ValueError: if the version has none.
    """
    return Schema.load(Path(version) / SCHEMA, kept=True)
