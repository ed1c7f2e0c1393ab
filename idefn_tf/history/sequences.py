"""Behaviour sequences: each row's last events, as two places in a stream that is stored once.

An event without one of the sequence's items is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from idefn_tf.history.as_of import units
from idefn_tf.history.event_log import EventLog
from idefn_tf.history.sorted_stream import NO_KEY, SortedStream, codes, is_missing
from idefn_tf.schema import BehaviourSequence, Labels, Schema
from idefn_tf.schema.lists import PADDING

_EVENT = {"exposed": "exposure", "clicked": "click", "converted": "conversion"}


@dataclass(frozen=True)
class Places:
    """The stream of one sequence, and where each row's events lie in it.

    Attributes:
        items: the items of the stream's events, by feature, [E].
        times: from when each event is known, int64 [E].
        start: the first event of the row's key, int64 [n].
        end: after the last event that the row may see, int64 [n].
    """

    items: dict[str, np.ndarray]
    times: np.ndarray
    start: np.ndarray
    end: np.ndarray


def places(
    sequence: BehaviourSequence,
    events: EventLog,
    keys: Mapping[str, np.ndarray],
    moments: np.ndarray,
) -> Places:
    """Sorts the events of a sequence and finds each row's among them.

    Args:
        sequence: says which events.
        events: all of them, later ones too.
        keys: of the rows, by feature.
        moments: the rows' as-of, int64 [n].
    """
    of_events, of_rows = codes([events.features[sequence.key]], [keys[sequence.key]])
    for name in sequence.items:  # lists of one sequence stand side by side, event by event
        of_events = np.where(is_missing(events.features[name]), NO_KEY, of_events)
    stream = SortedStream.of(of_events, events.known[_EVENT[sequence.condition]])
    absent = of_rows == NO_KEY
    asked = np.where(absent, 0, of_rows)
    end = stream.before(asked, moments)
    start = np.where(absent, end, stream.start(asked))
    items = {name: events.features[name][stream.order] for name in sequence.items}
    return Places(items, stream.times, start, end)


def newest(start: np.ndarray, end: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of each row's newest events, oldest first, and which are there.

    Args:
        start: the first event of the row's key, [n].
        end: after the last event that it may see, [n].
        length: K, how many at most.

    Returns:
        Places in the stream int64 [n, K], 0 where there is none, and bool [n, K]; the events stand
        at the front.
    """
    first = np.maximum(start, end - length)
    at = first[:, None] + np.arange(length)
    there = at < end[:, None]
    return np.where(there, at, 0), there


def slices(
    schema: Schema, sequence: BehaviourSequence, found: Places, moments: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns a sequence's lists by feature name, [n, K], padded at the end.

    Args:
        schema: of the features.
        sequence: which.
        found: its stream, and the rows' places in it.
        moments: the rows' as-of, int64 [n], for gaps.
    """
    at, there = newest(found.start, found.end, sequence.length)
    lists: dict[str, np.ndarray] = {}
    for name in sequence.items:
        feature = schema.feature(name)
        padding: int | bytes = b"" if feature.dtype == "string" else -1
        values = found.items[name]
        chosen = values[at] if len(values) else np.full(at.shape, padding, values.dtype)
        lists[f"{sequence.name}__{name}"] = np.where(there, chosen, padding)
    if sequence.gap_hours:
        times = found.times[at] if len(found.times) else np.zeros(at.shape, np.int64)
        bucket = gaps(sequence, moments[:, None] - times, schema.labels)
        lists[sequence.gap] = np.where(there, bucket, PADDING["int64"])
    return lists


def gaps(sequence: BehaviourSequence, elapsed: np.ndarray, labels: Labels) -> np.ndarray:
    """Returns the bucket of each time since an event: b holds [bounds[b - 1], bounds[b])."""
    bounds = np.asarray(sequence.gap_hours) * 3600.0 * units(labels)
    return np.searchsorted(bounds, elapsed, side="right").astype(np.int64)
