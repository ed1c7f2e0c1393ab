"""The schemas that are compared: simulated exposures with history, and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from idefn_tf.schema import Schema

ROOT = Path(__file__).resolve().parents[2]
KEYS: tuple[Any, ...] = ("user_id", "item_id", "item_shop", ["user_id", "item_category"])
WINDOWS = ("1d", "3d", "all")


def without_history() -> Schema:
    """Returns the shipped schema of simulated exposures."""
    return Schema.load(ROOT / "schemas" / "simulated_funnel.yaml")


def with_history() -> Schema:
    """Returns it with five aggregates over three windows of four keys, and the last 50 clicks."""
    value = without_history().model_dump(mode="json", exclude_defaults=True)
    aggregates = [
        {
            "key": key,
            "events": ["exposure", "click", "conversion"],
            "measures": ["count", "rate"],
            "windows": [*WINDOWS],
        }
        for key in KEYS
    ]
    clicks = {
        "name": "clicks",
        "key": "user_id",
        "condition": "clicked",
        "items": ["item_id", "item_category"],
        "length": 50,
        "gap_hours": [1, 24, 72],
    }
    past = {"burn_in_days": 0, "aggregates": aggregates}
    return Schema.parse(value | {"history": past, "sequences": [clicks]})
