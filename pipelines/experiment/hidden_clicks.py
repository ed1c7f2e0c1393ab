"""Hidden clicks: clicked rows shown as unclicked, to measure a relabelling on known labels.

A share of the clicked rows is presented as unclicked; their true conversion is known. Where the
relabelling picks converted hidden clicks more often than the others, it finds what it claims to
find. This needs neither a simulator nor recorded conversions below the click, and may therefore be
used where nothing else is known. Two ways of hiding:

* "uniform": every clicked row alike (selected completely at random);
* "propensity": with a chance proportional to 1 - o^, so that hidden rows resemble unclicked rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from idefn_tf.evaluation.pseudo_label_audit import relabel_rows, wilson
from idefn_tf.models import AllNegative

Way = Literal["uniform", "propensity"]
WAYS: tuple[Way, ...] = ("uniform", "propensity")


def choose_hidden_clicks(
    click: np.ndarray,
    ctr: np.ndarray,
    share: float,
    way: Way,
    seed: int,
) -> np.ndarray:
    """Chooses which clicked rows are hidden.

    Args:
        click: [rows].
        ctr: predicted click probability [rows], read by "propensity" alone.
        share: of the clicked rows, in (0, 1).
        way: "uniform" or "propensity".
        seed: of the draw.

    Returns:
        Boolean [rows], true at round(share * clicks) clicked rows.

    Raises:
        ValueError: if `share` or `way` is out of its range, or no row would be hidden.
    """
    if not 0 < share < 1:
        raise ValueError(f"--spy-share: must lie between 0 and 1, received {share}")
    if way not in WAYS:
        raise ValueError(f"way: must be one of {WAYS}, received {way!r}")
    clicked = np.flatnonzero(np.asarray(click) == 1)
    count = round(share * clicked.size)
    if count == 0:
        raise ValueError(
            f"--spy-share: {share} of {clicked.size} clicked rows is none; audit more rows"
        )
    chance = None
    if way == "propensity":
        weight = 1.0 - np.clip(np.asarray(ctr, np.float64)[clicked], 0.0, 1.0 - 1e-6)
        chance = weight / weight.sum()
    chosen = np.random.default_rng(seed).choice(clicked, count, replace=False, p=chance)
    found = np.zeros(len(click), bool)
    found[chosen] = True
    return found


def hidden_click_test(
    model: AllNegative,
    arrays: Mapping[str, np.ndarray],
    ctr: np.ndarray,
    batch_size: int,
    share: float = 0.2,
    way: Way = "uniform",
    seed: int = 0,
) -> dict[str, Any]:
    """Hides clicks, relabels, and counts what was found.

    Use rows that the model was not trained on: of training rows it has seen the hidden label.

    Returns:
        {"way", "hidden", "converted", "relabelled", "found", "recall", "precision",
        "precision_low", "precision_high", "rate", "lift", "unclicked_share"}: hidden rows and those
        that converted; hidden rows relabelled and those of them that converted; recall = found /
        converted; precision = found / relabelled with its Wilson interval; rate = converted /
        hidden; lift = precision / rate; and the relabelled share of the truly unclicked rows, for
        comparison. A share without a denominator is nan.
    """
    hidden_clicks = choose_hidden_clicks(arrays["click"], ctr, share, way, seed)
    hidden = dict(arrays)
    hidden["click"] = np.where(hidden_clicks, 0.0, arrays["click"]).astype(np.float32)
    hidden["conversion"] = np.where(hidden_clicks, 0.0, arrays["conversion"]).astype(np.float32)
    chosen, _ = relabel_rows(model, hidden, batch_size, seed)
    converted = hidden_clicks & (arrays["conversion"] == 1)
    unclicked = arrays["click"] == 0
    relabelled, found = int(np.sum(chosen & hidden_clicks)), int(np.sum(chosen & converted))
    low, high = wilson(found, relabelled)
    rate = _ratio(int(converted.sum()), int(hidden_clicks.sum()))
    precision = _ratio(found, relabelled)
    return {
        "way": way,
        "hidden": int(hidden_clicks.sum()),
        "converted": int(converted.sum()),
        "relabelled": relabelled,
        "found": found,
        "recall": _ratio(found, int(converted.sum())),
        "precision": precision,
        "precision_low": low,
        "precision_high": high,
        "rate": rate,
        "lift": precision / rate if rate else math.nan,
        "unclicked_share": _ratio(int(np.sum(chosen & unclicked)), int(unclicked.sum())),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
