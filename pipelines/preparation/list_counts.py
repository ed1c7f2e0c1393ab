"""How often each value stands in the rows' sequences: for the data card, and so for drift.

A stream's event counts once for every row that lists it, as an entry of a list does; lists are
never built for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.data.event_streams import first_listed
from idefn_tf.history.sequences import Places
from idefn_tf.schema import BehaviourSequence
from pipelines.preparation.value_counts import ABSENT, summed


@dataclass(frozen=True)
class ListCounts:
    """The values of one list feature.

    Attributes:
        parts: by part, every `value` that some row lists, with its `rows`: in how many entries.
        empty: by part, the share of rows whose list is empty.
    """

    parts: Mapping[str, pa.Table]
    empty: Mapping[str, float]


def count(
    sequence: BehaviourSequence, found: Places, stream: pa.Table, parts: np.ndarray
) -> dict[str, ListCounts]:
    """Counts what the lists of a sequence hold.

    Args:
        sequence: says which items, and how many events a list has at most.
        found: where each row's events lie in the stream.
        stream: the events, with a column for each item.
        parts: the part of each row, [n].

    Returns:
        For each item feature, by the name of its list. Gaps of time are not counted.
    """
    first = first_listed(found.start, found.end, sequence.length)
    empty, listed = {}, {}
    for part in dict.fromkeys(parts.tolist()):
        own = parts == part
        empty[part] = float(np.mean(first[own] >= found.end[own]))
        listed[part] = _rows_by_event(first[own], found.end[own], stream.num_rows)
    return {
        f"{sequence.name}__{item}": ListCounts(
            {part: _by_value(stream.column(item), rows) for part, rows in listed.items()}, empty
        )
        for item in sequence.items
    }


def _rows_by_event(first: np.ndarray, end: np.ndarray, events: int) -> np.ndarray:
    """In how many of the spans [first, end) each event lies."""
    begun = np.bincount(first, minlength=events + 1)
    ended = np.bincount(end, minlength=events + 1)
    return np.asarray(np.cumsum(begun - ended)[:events])


def _by_value(values: pa.ChunkedArray, rows: np.ndarray) -> pa.Table:
    table = pa.table({"value": values, "rows": pa.array(rows, pa.int64())})
    absent = ABSENT["int64" if pa.types.is_integer(values.type) else "string"]
    there = pc.and_(pc.greater(table["rows"], 0), pc.not_equal(table["value"], absent))
    return summed(table.filter(there))
