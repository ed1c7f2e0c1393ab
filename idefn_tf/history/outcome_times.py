"""Outcome times: from when a past exposure, its click and its conversion are known.

An exposure is known at its time; a click at `labels.click_time`, or with its exposure; a conversion
at `labels.conversion_time`, or when the attribution window closes, or with its click where the
schema states neither. `history.lag` is added to all of them.

Rates count an exposure from the moment at which its outcome is *final*, which must not depend on
that outcome: an exposure that counts as refusal only because it will never convert would tell
the future. So a conversion is final when the attribution window closes, whatever happened in it.
Without a window it is final with the exposure: what has not converted yet counts as refusal until
the conversion is known. A click is final with its exposure.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from idefn_tf.data.time_columns import time_array
from idefn_tf.history.as_of import NEVER, known_at, lag, span
from idefn_tf.schema import Schema

#: Times by event, int64 [n].
Times = dict[str, np.ndarray]


def outcome_times(
    schema: Schema,
    table: pa.Table,
    exposed: np.ndarray,
    click: np.ndarray,
    conversion: np.ndarray,
) -> tuple[Times, Times, np.ndarray]:
    """Returns from when events are known, from when outcomes are final, and rows without a time.

    Args:
        schema: names the columns of times.
        table: the exposures.
        exposed: whether each row is an exposure, bool [n].
        click: whether it was clicked, bool [n].
        conversion: whether it converted, bool [n].

    Raises:
        ValueError: if a column of times is not there, or a time cannot be read.
    """
    labels, history = schema.labels, schema.history
    moment = known_at(history, labels)
    if labels.exposure_time is not None and labels.exposure_time in table.column_names:
        _demand_times(schema, table)
        shown, missing = time_array(schema, table, labels.exposure_time)
        shown = np.where(missing, 0, shown)
        clicked_at = np.where(click, _later(schema, table, labels.click_time, shown), shown)
        settled, unstated = shown, clicked_at
        window = labels.attribution
        if window is not None:
            width = round(window.window_hours * (span("1h", labels) or 0))
            settled = unstated = shown + width
            if window.from_ == "click":  # a click after that does not open a closed exposure again
                unstated = clicked_at + width
                settled = np.where(click & (clicked_at <= settled), unstated, settled)
        converted_at = _later(schema, table, labels.conversion_time, clicked_at, unstated)
    elif moment is not None:
        missing = np.zeros(table.num_rows, bool)
        shown = np.full(table.num_rows, moment - 1, np.int64)
        clicked_at = converted_at = settled = shown
    else:
        raise ValueError(
            f"events: must hold the column {labels.exposure_time!r}, received "
            f"{sorted(table.column_names)};\nadd it, or say history.known_at for events without "
            "times"
        )
    late = lag(history, labels)
    known = {
        "exposure": np.where(exposed, shown + late, NEVER),
        "click": np.where(click, clicked_at + late, NEVER),
        "conversion": np.where(conversion, converted_at + late, NEVER),
    }
    final = {
        "click": np.where(exposed, shown + late, NEVER),
        "conversion": np.where(exposed, settled + late, NEVER),
    }
    return known, final, missing


def in_window(schema: Schema, table: pa.Table, click: np.ndarray) -> np.ndarray:
    """Returns where a conversion, if there is one, came within the attribution window, bool [n].

    Without a window, or a time of its own, it does; a later one counts as none, as in preparation.

    Args:
        schema: names the columns of times, and the window.
        table: the exposures.
        click: whether each was clicked, bool [n].
    """
    labels = schema.labels
    window, column = labels.attribution, labels.conversion_time
    names = {column, labels.exposure_time}
    if window is None or not names <= set(table.column_names):
        return np.ones(table.num_rows, bool)
    opens, _ = time_array(schema, table, str(labels.exposure_time))
    if window.from_ == "click":
        opens = np.where(click, _later(schema, table, labels.click_time, opens), opens)
    came, missing = time_array(schema, table, str(column))
    return missing | (came - opens <= round(window.window_hours * (span("1h", labels) or 0)))


def _demand_times(schema: Schema, table: pa.Table) -> None:
    """Refuses a table without a column of times that the schema names.

    Its clicks and conversions would be known at other times than those of the log, and what both
    hold would count twice.
    """
    for column in (schema.labels.click_time, schema.labels.conversion_time):
        if column is not None and column not in table.column_names:
            raise ValueError(
                f"events: must hold the column {column!r}, received "
                f"{sorted(table.column_names)};\nadd it, empty where nothing is known"
            )


def _later(
    schema: Schema,
    table: pa.Table,
    column: str | None,
    earliest: np.ndarray,
    unstated: np.ndarray | None = None,
) -> np.ndarray:
    """Returns when something happened, never before `earliest`; `unstated` where no cell says."""
    otherwise = earliest if unstated is None else unstated
    if column is None or column not in table.column_names:
        return otherwise
    values, missing = time_array(schema, table, column)
    return np.where(missing, otherwise, np.maximum(values, earliest))
