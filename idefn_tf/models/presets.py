"""IdeFN's presets: named settings of its arguments."""

from __future__ import annotations

import copy
from typing import Any

_PAPER = {"alpha": 0.8, "gamma": 30, "ctcvr": "product", "kappa": 0.02, "rule": "argmax"}

#: `idefn` is the recipe that a search on validation days left standing: a match is worth a tenth of
#: a conversion, rows are compared by the CVR tower's hidden layer after a warm-up, 128 earlier
#: conversions are remembered. The others are the published setting, with the marginals as printed
#: (R1) or as shares of the unclicked rows (R2).
PRESETS: dict[str, dict[str, Any]] = {
    "idefn": {
        "kappa": "auto",
        "marginals": "proportion",
        "rule": "top_k",
        "representation": "hidden",
        "transport": {"memory": 128, "warmup_steps": 64, "normalize": True, "label_value": 0.1},
    },
    "idefn-paper": {**_PAPER, "marginals": "literal"},
    "idefn-paper-r2": {**_PAPER, "marginals": "proportion"},
}


def get_preset(name: str) -> dict[str, Any]:
    """Returns a preset's arguments, a copy.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset: must be one of {sorted(PRESETS)}, received {name!r}")
    return copy.deepcopy(PRESETS[name])
