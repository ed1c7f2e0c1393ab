"""Records that many exposures share, joined late: first checked once each, then slice by slice.

A side table whose records are wide (a user's whole history) must not be joined to all exposures
at once: the joined rows would have to be sorted and kept. `Side` leaves them apart until a slice
of the exposures is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis.expr.types as ir


@dataclass(frozen=True)
class Side:
    """A table of records that exposures point to.

    Attributes:
        table: one row per record, unique in `keys`.
        keys: columns that the exposures have too.
        joined: whether the exposures have its columns already; what is counted and written is
            taken from the records all the same.
    """

    table: ir.Table
    keys: tuple[str, ...]
    joined: bool = False

    @property
    def columns(self) -> set[str]:
        """The columns beside the keys."""
        return set(self.table.columns) - set(self.keys)


def join(rows: ir.Table, records: ir.Table, keys: Sequence[str]) -> ir.Table:
    """Adds the records' columns to rows; rows without a record get nulls."""
    joined = rows.left_join(records, list(keys))
    return joined.drop(*(f"{key}_right" for key in keys))


def own(rows: ir.Table, sides: Sequence[Side]) -> ir.Table:
    """Returns exposures without the columns that sides have joined to them."""
    gone = {name for side in sides if side.joined for name in side.columns}
    return rows.drop(*(name for name in rows.columns if name in gone))


def widened(rows: ir.Table, sides: Sequence[Side]) -> ir.Table:
    """Returns a slice of exposures with the columns of every side.

    Only the records that the slice needs enter the join, so that its memory follows the slice.
    """
    wide = rows
    for side in sides:
        keys = list(side.keys)
        needed = side.table.semi_join(rows.select(*keys).distinct(), keys)
        wide = join(wide, needed, keys)
    return wide
