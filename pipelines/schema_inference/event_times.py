"""The columns that tell when a row was clicked and when it converted: found, checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.schema_inference import label_columns as labels
from pipelines.schema_inference.profile import Profile

#: A column tells when something happened if it is there on so many of the rows where it did ...
_WITH = 0.9
#: ... and on no more of the others.
_WITHOUT = 0.001
#: Rows with the event that are needed to say so.
_EVENTS = 20
_NAMES = {
    "click": re.compile(r"click|tap|open", re.IGNORECASE),
    "conversion": re.compile(
        r"conver|purchas|bought|order|paid|payment|sold|sale|install", re.IGNORECASE
    ),
}


@dataclass(frozen=True)
class EventTime:
    """A column that tells when an event happened.

    Attributes:
        column: the column.
        why: for readers.
        fault: why it cannot be named in the schema as it is, or "".
    """

    column: Profile
    why: str
    fault: str = ""


def find(
    columns: Sequence[Profile],
    event: str,
    happened: NDArray,
    exposure: Profile,
    earlier: Sequence[Profile] = (),
) -> EventTime | None:
    """Finds the time of an event: a time that is there where the event is, and nowhere else.

    Args:
        columns: the candidates.
        event: "click" or "conversion".
        happened: 0 or 1 [rows].
        exposure: the exposures' time, whose unit it must share.
        earlier: times that it may not lie before.

    Returns:
        The column with the event's name first, else the one that is there most often; or None.
    """
    unit, here = labels.time_unit(exposure), happened == 1
    found = []
    for column in columns:
        alike = (column.type, column.zoned) == (exposure.type, exposure.zoned)
        if not alike or here.sum() < _EVENTS or here.all() or labels.time_unit(column) != unit:
            continue
        with_event, without = column.present[here].mean(), column.present[~here].mean()
        if with_event >= _WITH and without <= _WITHOUT:
            named = _NAMES[event].search(column.name) is not None
            found.append((named, with_event, column))
    if not found:
        return None
    _, share, column = max(found, key=lambda entry: entry[:2])
    why = f"a time on {share:.1%} of the {event}s and on no other row"
    for before in (exposure, *earlier):
        wrong = int((ticks(column) < ticks(before))[here & column.present & before.present].sum())
        if wrong:
            fault = (
                f"looks like the time of the {event}, and lies before {before.name!r} on "
                f"{wrong:,} rows: correct them, and name it as labels.{event}_time"
            )
            return EventTime(column, why, fault)
    return EventTime(column, why)


def ticks(column: Profile) -> NDArray[np.float64]:
    """Returns a column of times as numbers that can be compared, nan where absent."""
    if column.numbers is not None:
        return column.numbers
    stamps = column.values
    if not pa.types.is_timestamp(stamps.type):
        return np.full(len(column), np.nan)
    return np.asarray(pc.fill_null(stamps.cast(pa.int64()).cast(pa.float64()), np.nan))
