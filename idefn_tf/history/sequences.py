"""Behaviour sequences: each row's last events, as two places in a stream that is stored once.

An event without one of the sequence's items is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data import event_streams
from idefn_tf.history.as_of import units
from idefn_tf.history.event_log import EventLog, as_arrow
from idefn_tf.history.sorted_stream import NO_KEY, SortedStream, codes, is_missing
from idefn_tf.schema import BehaviourSequence, Labels, Schema

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
    rows = SortedStream.of(of_rows, moments)  # looked up in order, which walks one way
    start, end = np.zeros((2, len(moments)), np.int64)
    start[rows.order] = stream.start(rows.codes)
    end[rows.order] = stream.before(rows.codes, moments[rows.order])
    items = {name: events.features[name][stream.order] for name in sequence.items}
    return Places(items, stream.times, start, end)


def described(sequence: BehaviourSequence, labels: Labels) -> dict[str, Any]:
    """Returns what readers need to know of a sequence."""
    bounds = [hours * 3600.0 * units(labels) for hours in sequence.gap_hours]
    return event_streams.description(sequence.name, sequence.items, sequence.length, bounds)


def lists(
    schema: Schema, sequence: BehaviourSequence, found: Places, moments: np.ndarray
) -> dict[str, pa.LargeListArray]:
    """Returns a sequence's lists by column, the newest events of each row, oldest first.

    Args:
        schema: of the features.
        sequence: which.
        found: its stream, and the rows' places in it.
        moments: the rows' as-of, int64 [n], for gaps.
    """
    items = {name: as_arrow(values) for name, values in found.items.items()}
    mark = described(sequence, schema.labels)
    gaps = bool(sequence.gap_hours)
    times, at = (found.times, moments) if gaps else (None, None)
    return event_streams.lists(mark, items, times, found.start, found.end, at)
