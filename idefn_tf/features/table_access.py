"""TableAccess: whole embedding tables, and one field's rows in them, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from idefn_tf.features.field import Field
from idefn_tf.features.table_shards import Shards


class TableAccess:
    """What `FeatureColumns` says of its tables, and how they are read and written whole."""

    built: bool
    build: Any
    shards: Shards
    tables: dict[str, Any]
    _by_name: Mapping[str, Field]
    _offsets: Mapping[str, int]
    _rows: Mapping[str, int]

    @property
    def table_shapes(self) -> dict[str, tuple[int, int]]:
        """The shape of every table, or share of one, by its key."""
        return {
            name: (self.shards.size(rows, share), int(width))
            for width, rows in self._rows.items()
            for share, name in enumerate(self.shards.names(width))
        }

    def row_range(self, name: str) -> tuple[int, int, int]:
        """Returns (first row of unknown values, first row of known ids, end) of a field."""
        field = self._by_name[self._by_name[name].table]
        start = self._offsets[field.name]
        return start, start + field.oov_buckets, start + field.rows

    def set_embedding(self, name: str, matrix: np.ndarray) -> None:
        """Writes a field's rows: known ids first, then unknown values, as feature columns order.

        Raises:
            ValueError: if the matrix does not have known + oov_buckets rows of the field's width.
        """
        field = self._by_name[self._by_name[name].table]
        if np.shape(matrix) != (field.known + field.oov_buckets, field.width):
            raise ValueError(
                f"matrix: must have shape {(field.known + field.oov_buckets, field.width)} for "
                f"{name!r}, received {np.shape(matrix)}"
            )
        if not self.built:
            self.build()
        values = np.array(self.table(str(field.width)))
        unknown, known, _ = self.row_range(name)
        values[known : known + field.known] = matrix[: field.known]
        values[unknown:known] = matrix[field.known :]
        self.set_table(str(field.width), values)

    def table(self, width: str) -> np.ndarray:
        """Returns the whole table of a width, [V, width], its shares put together."""
        return self.shards.join([self.tables[name] for name in self.shards.names(width)])

    def set_table(self, width: str, values: np.ndarray) -> None:
        """Writes the whole table of a width, [V, width]."""
        for name, share in zip(self.shards.names(width), self.shards.cut(values), strict=True):
            self.tables[name].assign(share)
