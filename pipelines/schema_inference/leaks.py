"""Columns that know the label: values that predict it too well, or appear only after it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from idefn_tf.metrics import exact_metrics
from pipelines.schema_inference.profile import Profile

#: An AUC from which a column is taken for a copy of the label, and one that looks suspicious.
LEAK, SUSPECT = 0.995, 0.95
#: A column that is empty on all but this share of the rows without the event ...
_EMPTY = 0.001
#: ... and filled on more than this share of those with it, appears with the event.
_FILLED = 0.1
#: Rows with the event that are needed to say so.
_EVENTS = 20
#: Rows looked at.
_ROWS = 100_000
_HINTS = re.compile(
    r"click|convers|convert|purchas|order|paid|payment|revenue|gmv|refund|checkout|cart|dwell"
    r"|watch|play_?time|stay|view_time|like|follow|comment|share|label|target",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Leak:
    """Why a column must not, or perhaps should not, be a feature.

    Attributes:
        certain: whether it is kept out; else it is only pointed at.
        why: for readers.
    """

    certain: bool
    why: str


def find_leak(column: Profile, click: NDArray, conversion: NDArray) -> Leak | None:
    """Looks for signs that a column is known only after the click or the conversion.

    Args:
        column: the column.
        click: 0 or 1 [rows].
        conversion: 0 or 1 [rows].

    Returns:
        The first sign found, the strongest kind first; or None.
    """
    if column.type in ("list", "other"):
        return _by_name(column)
    at = np.arange(len(column))
    if len(at) > _ROWS:
        at = np.linspace(0, len(column) - 1, _ROWS).astype(np.int64)
    clicked = at[click[at] == 1]
    events = (("click", at, click), ("conversion", clicked, conversion))
    for event, rows, label in events:
        if column.numbers is not None and _same(column.numbers[rows], label[rows]):
            among = "every row" if event == "click" else "every clicked row"
            return Leak(True, f"the same as the {event} on {among}")
    for event, rows, label in events:
        found = _appears(column, rows, label, event)
        if found:
            return found
    suspect = None
    for event, rows, label in events:
        value = separation(column, rows, label[rows])
        if value is None or value < SUSPECT:
            continue
        among = "all rows" if event == "click" else "clicked rows"
        said = f"it alone predicts the {event} with an AUC of {value:.4f} on {among}"
        if value >= LEAK:
            return Leak(True, f"{said}: a copy of the label, or known only after it")
        suspect = suspect or Leak(False, f"{said}: is it known before the exposure?")
    return suspect or _by_name(column)


def separation(column: Profile, rows: NDArray, label: NDArray) -> float | None:
    """Returns how well a column alone tells the label: an AUC of at least one half.

    Numbers are taken as they are, in either direction. Categories are scored by the label's mean
    in the other half of the rows, so that rare values cannot seem to know it.

    Args:
        column: the column.
        rows: the rows looked at.
        label: 0 or 1 [as many].

    Returns:
        The AUC, or None where a class is too small.
    """
    if min(label.sum(), (1 - label).sum()) < _EVENTS:
        return None
    best = 0.5
    if column.numbers is not None and column.type != "boolean":
        numbers = column.numbers[rows]
        there = np.isfinite(numbers)
        lowest = numbers[there].min(initial=0.0) - 1.0
        value = exact_metrics.auc(label, np.where(there, numbers, lowest))
        best = max(value, 1.0 - value)
    codes = column.codes[rows] + 1
    half = np.arange(len(rows)) % 2 == 0
    score = np.empty(len(rows))
    for fit, use in ((half, ~half), (~half, half)):
        counts = np.bincount(codes[fit], minlength=codes.max() + 1)
        sums = np.bincount(codes[fit], weights=label[fit], minlength=codes.max() + 1)
        mean = label[fit].mean()
        score[use] = ((sums + mean) / (counts + 1.0))[codes[use]]
    value = exact_metrics.auc(label, score)
    return float(max(best, value))


def _same(numbers: NDArray, label: NDArray) -> bool:
    enough = min(label.sum(), (1 - label).sum()) >= _EVENTS
    return bool(enough and np.array_equal(np.nan_to_num(numbers), label))


def _appears(column: Profile, rows: NDArray, label: NDArray, event: str) -> Leak | None:
    """Whether the column is filled, or other than 0, only where the event took place."""
    here = label[rows] == 1
    if here.sum() < _EVENTS or (~here).sum() < _EVENTS:
        return None
    signs = [("empty", column.present[rows])]
    if column.numbers is not None:
        signs.append(("0 or empty", np.nan_to_num(column.numbers[rows]) != 0))
    for word, filled in signs:
        with_event, without = filled[here].mean(), filled[~here].mean()
        if without <= _EMPTY and with_event >= _FILLED:
            after = "clicks" if event == "click" else "conversions"
            return Leak(
                True,
                f"{word} on {1 - without:.1%} of the rows without a {event} and filled on "
                f"{with_event:.1%} of the {after}: known only after the {event}",
            )
    return None


def _by_name(column: Profile) -> Leak | None:
    match = _HINTS.search(column.name)
    if match is None:
        return None
    return Leak(
        False,
        f"its name ({match.group(0)!r}) may mean something that happens after the exposure; "
        "keep it only if it is known before",
    )
