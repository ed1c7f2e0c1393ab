"""Mature rows: those whose attribution window had closed when their labels were known.

A young click without a conversion is no negative yet, so calibration and the promotion gate leave
rows out whose window is open: clicked or not, converted or not, or rates would be bent.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from idefn_tf.data.arrow_to_numpy import label_values
from idefn_tf.data.files import column_values
from idefn_tf.data.time_columns import time_array
from idefn_tf.schema import WINDOW_OPEN, Schema
from idefn_tf.schema.moments import per_second


def mature_rows(schema: Schema, table: pa.Table) -> tuple[pa.Table, int]:
    """Leaves out the rows whose attribution window is open.

    Prepared rows say so themselves (`labels.immature: keep`). Of raw rows with the times of
    exposure, click and conversion the log ends with the latest of them that counts, as in
    preparation. Rows that tell neither all stay.

    Args:
        schema: states the window.
        table: exposures with their labels.

    Returns:
        The others, and how many were left out.

    Raises:
        ValueError: if none is left.
    """
    opened = _open(schema, table)
    if opened is None:
        return table, 0
    left_out = int(opened.sum())
    if left_out == table.num_rows and left_out:
        raise ValueError(
            f"rows: must hold some whose attribution window has closed, received {left_out:,} rows "
            "whose window is open; give older rows, or prepare them as of a later moment"
        )
    return (table.filter(pa.array(~opened)) if left_out else table), left_out


def said(rows: int, left_out: int) -> str:
    """Returns in words how many rows are left."""
    return f"{left_out:,} rows with an open attribution window are left out, {rows:,} rows count"


def _open(schema: Schema, table: pa.Table) -> np.ndarray | None:
    names = set(table.column_names)
    if WINDOW_OPEN in names:
        return np.asarray(column_values(table, WINDOW_OPEN)) == 1
    labels, window = schema.labels, schema.labels.attribution
    if window is None or not labels.delayed or not {*labels.times, *labels.columns} <= names:
        return None
    click, converted = (label_values(schema, table, name) == 1 for name in labels.columns[:2])
    (shown, unshown), (clicked, unclicked), (came, uncame) = (
        time_array(schema, table, name, happened=happened)
        for name, happened in zip(labels.times, (None, click, converted), strict=True)
    )
    click &= ~unclicked
    converted &= ~uncame
    opens = np.where(click, clicked, shown) if window.from_ == "click" else shown
    width = round(window.window_hours * 3600 * per_second(labels.time_unit))
    converted &= came - opens <= width
    told = [shown[~unshown], clicked[click], came[converted]]
    end = max((int(some.max()) for some in told if some.size), default=0)
    return np.asarray(opens + width > end)
