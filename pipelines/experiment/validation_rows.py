"""Validation rows that early stopping and tuning see: those whose label is final.

A young click without a conversion is no negative yet. A model that learns what is still to come
predicts more than such labels say, and would be stopped for it. Where a schema keeps rows of open
attribution windows, selection leaves them out, in train and in every trial of a search. Where no
other rows have a conversion (validation days shorter than the window), all rows stay, and the
warning says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from idefn_tf.data.arrow_to_numpy import label_values
from idefn_tf.evaluation.mature_rows import mature_rows, said
from idefn_tf.schema import Schema
from pipelines.preparation.prepared_folder import Prepared


@dataclass(frozen=True)
class ValidationRows:
    """What selection is made on.

    Attributes:
        source: of the rows, as `open_dataset` takes it.
        counts: {"rows", "open_rows", "left_out"} for the run's card; empty where nothing is open.
        note: what is said of them.
        careful: whether that is a warning.
    """

    source: Any
    counts: dict[str, int]
    note: str = ""
    careful: bool = False

    @classmethod
    def of(cls, data: Prepared) -> ValidationRows:
        """Chooses the rows of a prepared log.

        Args:
            data: with a part "validation".
        """
        files = data.files("validation")
        if data.card.get("immature", {}).get("treatment") != "keep":
            return cls(files, {})
        table = data.table("validation")
        try:
            kept, opened = mature_rows(data.schema, table)
        except ValueError:  # no row is mature
            kept, opened = table.slice(0, 0), table.num_rows
        counts = {"rows": kept.num_rows, "open_rows": opened, "left_out": opened}
        if not opened:
            return cls(files, counts)
        if _both_labels(data.schema, kept):
            return cls(kept, counts, f"early stopping: {said(kept.num_rows, opened)}")
        counts |= {"rows": table.num_rows, "left_out": 0}
        note = (
            f"early stopping sees {opened:,} of {table.num_rows:,} validation rows before their "
            "attribution window is over, for the others have not both labels; give earlier "
            "validation days, or prepare as of a later moment"
        )
        return cls(files, counts, note, careful=True)


def _both_labels(schema: Schema, rows: pa.Table) -> bool:
    """Whether some clicks of the rows convert and others do not."""
    if not rows.num_rows:
        return False
    names = schema.labels.resolve(rows.column_names)
    click, conversion = (label_values(schema, rows, n) == 1 for n in names)
    return bool((click & conversion).any() and (click & ~conversion).any())
