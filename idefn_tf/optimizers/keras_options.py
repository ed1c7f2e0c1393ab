"""Keras options that a row-sparse optimizer cannot honour at its price."""

from __future__ import annotations

from typing import Any


def refuse(options: dict[str, Any]) -> None:
    """Raises ValueError for Keras options that read or write whole tables at every step."""
    cures = {
        "amsgrad": "row-wise updates keep no running maximum",
        "use_ema": "averaging whole tables at every step is what this optimizer avoids",
        "gradient_accumulation_steps": "its accumulators are as large as the tables",
    }
    for name, reason in cures.items():
        if options.get(name):
            raise ValueError(
                f"{name}: must be off, received {options[name]!r}; {reason}. "
                "Take keras.optimizers.Adam where you need it."
            )
