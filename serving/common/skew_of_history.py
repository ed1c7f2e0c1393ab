"""Sent history against computed history: what is sent, what Python scores, where they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data.time_columns import row_time
from idefn_tf.export.replay import request_arrays
from idefn_tf.schema import Schema
from serving.common.history_requests import HistoryFill

#: Largest difference of a number, as a share of it and beside 0.
TOLERANCE = 1e-5


def sides(
    schema: Schema, table: pa.Table, fill: HistoryFill | None, looks_up: Callable[[], bool]
) -> tuple[pa.Table, pa.Table, dict[str, Any] | None]:
    """Returns the rows that are sent, those that Python scores, and how their history differs.

    Args:
        schema: of the raw features.
        table: rows, with the history that was sent or without.
        fill: computes history; None takes what the rows hold.
        looks_up: whether the served version looks history up.

    Raises:
        ValueError: if there is history neither in the rows nor to be computed, or sent history has
            no time.
    """
    if not schema.generated:
        return table, table, None
    held = schema.generated & set(table.column_names)
    if held:
        if fill is None:
            return table, table, None
        if fill.at is None and row_time(schema, table.column_names) is None:
            raise ValueError(
                f"rows: must hold {schema.labels.exposure_time!r}, as of which history was sent, "
                f"received {sorted(table.column_names)};\nlog it with the requests, or give --at"
            )
        computed = _with(table.drop_columns(sorted(held)), fill)
        return table, table, _compare(schema, table, computed)
    if fill is None:
        raise ValueError(
            "rows: must hold the history that was sent, received none of "
            f"{sorted(schema.generated)};\ngive --history PREPARED_FOLDER to have it computed"
        )
    filled = _with(table, fill)
    return (table if looks_up() else filled), filled, None


def _with(table: pa.Table, fill: HistoryFill) -> pa.Table:
    for name, values in fill.columns(table, own_times=True).items():
        table = table.append_column(name, pa.array(values, from_pandas=False))
    return table


def _compare(schema: Schema, sent: pa.Table, computed: pa.Table) -> dict[str, Any]:
    """Compares every generated feature, as the model reads it."""
    found, truth = request_arrays(schema, sent), request_arrays(schema, computed)
    columns: dict[str, Any] = {}
    for name in sorted(schema.generated):
        one, other = found[name], truth[name]
        if one.dtype.kind == "f":
            wrong = ~np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        else:
            wrong = (one != other).reshape(len(one), -1).any(axis=1)
        row = int(np.argmax(wrong))
        columns[name] = {
            "rows_beyond": int(wrong.sum()),
            "worst_row": row,
            "python": _plain(other[row]),
            "sent": _plain(one[row]),
        }
    return {
        "columns": columns,
        "failed": [name for name, entry in columns.items() if entry["rows_beyond"]],
    }


def _plain(value: Any) -> Any:
    """Writes a number or a padded list for JSON."""
    if isinstance(value, np.ndarray):
        entries = [
            v.decode(errors="replace") if isinstance(v, bytes) else v for v in value.tolist()
        ]
        return [entry for entry in entries if entry not in (-1, "")]
    return float(value) if np.isfinite(value) else None
