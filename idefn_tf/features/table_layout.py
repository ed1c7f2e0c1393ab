"""Fused tables: where each feature's rows begin in the one table of its embedding width."""

from __future__ import annotations

from collections.abc import Sequence

from idefn_tf.features.field import Field
from idefn_tf.features.field_group import FIRST_ROW


def lay_out(fields: Sequence[Field]) -> tuple[dict[str, int], dict[str, int]]:
    """Gives every table owner its first row, width by width.

    Args:
        fields: of one layer, in order; their names are unique.

    Returns:
        The first row by owner, and the number of rows by width.

    Raises:
        ValueError: if a field is tied to one that has no table here, or that it does not fit.
    """
    by_name = {field.name: field for field in fields}
    embedded = [field for field in fields if not field.numeric and not field.indicator]
    offsets: dict[str, int] = {}
    rows: dict[str, int] = {}
    for field in embedded:
        if field.table == field.name:
            start = rows.setdefault(str(field.width), FIRST_ROW)
            offsets[field.name] = start
            rows[str(field.width)] = start + field.rows
    for field in embedded:
        if field.table not in offsets:
            raise ValueError(
                f"columns: {field.name!r} is tied to {field.table!r}, which is not an embedded "
                "column of this layer; add it or remove the tie."
            )
        field.check_tie(by_name[field.table])
    return offsets, rows
