"""What the data card says of history: how much of it the rows see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from idefn_tf.history.as_of import lag
from idefn_tf.history.attach import Rows
from idefn_tf.history.event_kinds import EventKinds
from idefn_tf.history.event_log import EventLog
from idefn_tf.history.lookback import Lookback
from idefn_tf.history.sequences import Places
from idefn_tf.schema import Schema

_QUANTILES = (0.1, 0.5, 0.9)


def describe(
    schema: Schema,
    events: EventLog,
    rows: Rows,
    parts: np.ndarray,
    places: Mapping[str, Places],
) -> dict[str, Any]:
    """Describes the history of every key and every sequence.

    Args:
        schema: says which.
        events: all of them.
        rows: those that look back.
        parts: the part of each row.
        places: of each sequence.

    Returns:
        "events", "events_without_time", "notes" (what numbers do not say), "conversion" (whose
        labels count), "refresh", and by key: the share of rows without a past exposure and deciles
        of their number, by part; the share of past exposures hidden by lag and refresh, and of
        those seen the share whose conversion is still open. By sequence: the share of rows without
        an event and of those with more than its length.
    """
    history = schema.past
    card: dict[str, Any] = {
        "events": len(events),
        "events_without_time": events.dropped,
        "conversion": history.conversion,
        "refresh": history.refresh,
    }
    if history.known_at is not None:
        card["known_at"] = history.known_at
    if notes := _notes(schema):
        card["notes"] = notes
    keys = [aggregate.keys for aggregate in history.aggregates]
    looks = _Looks(events, rows, EventKinds.of(events))
    for names in dict.fromkeys(keys):
        card.setdefault("keys", {})["_x_".join(names)] = _of_key(schema, looks, parts, names)
    for sequence in schema.sequences:
        found = places[sequence.name]
        counts = found.end - found.start
        card.setdefault("sequences", {})[sequence.name] = {
            "events": len(found.times),
            "parts": _by_part(parts, counts),
            "longer_than_length": float(np.mean(counts > sequence.length)) if len(counts) else 0.0,
        }
    return card


def _notes(schema: Schema) -> list[str]:
    """Returns what a reader of the counts and rates should know."""
    labels, history = schema.labels, schema.past
    found = []
    if history.known_at is not None:
        found.append(
            f"events have no times and are known from {history.known_at}; where the stream was cut "
            "at a length, counts are cut, too"
        )
    if labels.negative_keep_rate < 1:
        found.append(
            "counts are of the thinned log (labels.negative_keep_rate "
            f"{labels.negative_keep_rate:g}), and rates are of its exposures"
        )
    rated = any(
        column.measure == "rate" and column.event == "conversion"
        for aggregate in history.aggregates
        for column in aggregate.columns
    )
    if rated and labels.conversion_time is not None and labels.attribution is None:
        found.append(
            "without labels.attribution an exposure that may still convert counts as not converted "
            "in rates"
        )
    return found


def _of_key(
    schema: Schema, looks: _Looks, parts: np.ndarray, names: tuple[str, ...]
) -> dict[str, Any]:
    asked = looks.at(names, looks.rows.moments)
    counts = asked.counts(("exposure", "known"), None)
    seen = before = int(counts.sum())
    final = int(asked.counts(("conversion", "final"), None).sum())
    # what was known before then had happened by now
    happened = looks.rows.times + lag(schema.history, schema.labels)
    if (happened != looks.rows.moments).any():
        earlier = looks.at(names, happened)
        before = int(earlier.counts(("exposure", "known"), None).sum())
    return {
        "parts": _by_part(parts, counts),
        "hidden_by_lag_and_refresh": 1 - seen / before if before else 0.0,
        "open_conversions": max(1 - final / seen, 0.0) if seen else 0.0,
    }


@dataclass(frozen=True)
class _Looks:
    """What looks back on what."""

    events: EventLog
    rows: Rows
    kinds: EventKinds

    def at(self, names: tuple[str, ...], moments: np.ndarray) -> Lookback:
        """Returns the events of a key as rows would see them at these moments."""
        return Lookback.of(self.events, self.kinds, self.rows.keys, moments, names)


def _by_part(parts: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    found = {}
    numbers, names = pd.factorize(parts)
    for number, part in enumerate(names):
        own = counts[numbers == number]
        found[part] = {
            "without_history": float(np.mean(own == 0)),
            "events_per_row": [float(v) for v in np.quantile(own, _QUANTILES)],
        }
    return found
