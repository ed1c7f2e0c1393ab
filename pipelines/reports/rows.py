"""Rows of a part with everything that reports may know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from idefn_tf.data import read_table, to_arrays
from idefn_tf.evaluation.resampling import find_items
from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.schema import REPORT_COLUMNS, Schema
from pipelines.experiment.evaluation import report_columns
from pipelines.preparation.prepared_folder import Prepared

#: At most this many rows of a part are scored; more are thinned evenly.
MOST_ROWS = 500_000


@dataclass(frozen=True)
class Rows:
    """Rows of one part with all that reports may know of them.

    Attributes:
        part: its name.
        table: the features, as prepared.
        columns: click, conversion and the report columns [rows].
        weight: sample weights [rows].
        users: the schema's user key [rows], or None.
        items: what tells items apart [rows], or None.
        unit: what intervals draw, in words.
        thinned: whether these are fewer rows than the part has.
    """

    part: str
    table: pa.Table
    columns: Mapping[str, NDArray]
    weight: NDArray
    users: NDArray | None
    items: NDArray | None = None
    unit: str = "rows"
    thinned: bool = False

    def __len__(self) -> int:
        return len(self.weight)


def read_rows(data: Prepared, schema: Schema, part: str, limit: int | None) -> Rows:
    """Reads a part with its report columns.

    Args:
        data: prepared data.
        schema: what its columns are.
        part: the part's name.
        limit: only the first rows, or None for all.
    """
    files, reports = data.files(part), data.report_files(part)
    tables, truths, count = [], [], 0
    for file, report in zip(files, reports, strict=True):
        tables.append(read_table(file))
        truths.append(read_table(report))
        count += tables[-1].num_rows
        if limit is not None and count >= limit:
            break
    if limit is None and len(files) == len(tables):
        found = report_columns(data, part)
    else:
        truth = pa.concat_tables(truths)
        found = {n: np.asarray(truth[n]) for n in REPORT_COLUMNS if n in truth.column_names}
    table = pa.concat_tables(tables)
    arrays = to_arrays(schema, table)
    columns = {"click": arrays["click"], "conversion": arrays["conversion"], **found}
    users = arrays[schema.user_key] if schema.user_key else None
    item = None if users is None else find_items(schema, arrays)
    items = None if item is None else arrays[item]
    names = f"users ({schema.user_key})" if users is not None else "rows"
    unit = names if item is None else f"{names}, of items ({item}) and of their pairs"
    rows = Rows(part, table, columns, row_weights(schema, arrays), users, items, unit)
    return rows if limit is None or len(rows) <= limit else _take(rows, np.arange(limit))


def thin(rows: Rows) -> Rows:
    """Takes `MOST_ROWS` rows evenly, where there are more."""
    if len(rows) <= MOST_ROWS:
        return rows
    return _take(rows, np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.int64))


def _take(rows: Rows, at: NDArray) -> Rows:
    return Rows(
        rows.part,
        rows.table.take(pa.array(at)),
        {name: values[at] for name, values in rows.columns.items()},
        rows.weight[at],
        None if rows.users is None else rows.users[at],
        None if rows.items is None else rows.items[at],
        rows.unit,
        True,
    )
