"""Records that many exposures share: their features are made, counted and read once a record.

A record such as a user's whole history stands on many exposures. Its features are computed once,
the values are counted as often as exposures name it, and rows that are written take their columns
from it by its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from idefn_tf.schema import Feature, Schema
from pipelines.preparation import encode, wide_joins
from pipelines.preparation.engine import Engine
from pipelines.preparation.wide_joins import Side

_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class SharedRecords:
    """The records of one side that exposures name, numbered from 0.

    Attributes:
        table: a row per record, also for keys that the side does not hold: its number, its keys,
            the exposures of every part, and its features.
        keys: columns that the exposures have too.
        parts: of the split.
        features: those made of records.
        record: the column of the number. What else is no feature begins with this name.
        raw: further columns of the side, which features of the exposures need.
    """

    table: ir.Table
    keys: tuple[str, ...]
    parts: tuple[str, ...]
    features: tuple[Feature, ...]
    record: str
    raw: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The prepared columns that records give."""
        return tuple(name for feature in self.features for name in encode.prepared_names(feature))

    def form(self) -> pa.Schema:
        """Returns the types of `names`."""
        form = self._made(self.table, self.table[self.record]).schema().to_pyarrow()
        return form.remove(form.get_field_index(self.record))

    def numbered(self, rows: ir.Table) -> ir.Table:
        """Adds to exposures the number of their record, and the raw columns still needed."""
        asked = self.table.select(*self.keys, self.record, *self.raw)
        if not self.raw:
            return wide_joins.join(rows, asked, self.keys)
        return wide_joins.widened(rows, [Side(asked, self.keys)])

    def counted(self) -> ir.Table:
        """Returns the features of the records, and each part's exposures in `rows_of(part)`."""
        return self._made(self.table, *(self.table[self.rows_of(part)] for part in self.parts))

    def read(self, engine: Engine, records: ir.Table) -> Found:
        """Reads some of the records into memory.

        Args:
            engine: hands them over.
            records: those rows of `table`.
        """
        asked = self._made(records, records[self.record])
        batches = list(engine.batches(asked, _BATCH_ROWS))
        found = pa.Table.from_batches(batches, asked.schema().to_pyarrow())
        columns = {}
        for feature in self.features:
            for name, value in encode.absent(feature).items():
                last = pa.array([value], found.schema.field(name).type)
                columns[name] = pa.concat_arrays([*found.column(name).chunks, last])
        numbers = found.column(self.record).to_numpy()
        places = np.full(int(numbers.max(initial=-1)) + 2, len(numbers))
        places[numbers] = np.arange(len(numbers))
        return Found(self.record, places, columns)

    def of_part(self, part: str) -> ir.Table:
        """Returns the rows of `table` that a part's exposures name."""
        return self.table.filter(self.table[self.rows_of(part)] > 0)

    def rows_of(self, part: str) -> str:
        """The column that holds how many of a part's exposures name a record."""
        return _rows(self.record, self.parts.index(part))

    def _made(self, records: ir.Table, *further: ir.Value) -> ir.Table:
        made = [records[_made(self.record, name)].name(name) for name in self.names]
        return records.select(*made, *further)


@dataclass(frozen=True)
class Found:
    """Records in memory.

    Attributes:
        record: the column of their number.
        places: where the record of each number stands in `columns`; the last of them, -1, is that
            of exposures without a record.
        columns: by name, [n + 1]; the last row stands for exposures without a record.
    """

    record: str
    places: np.ndarray
    columns: Mapping[str, pa.Array]

    def beside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns exposures with the columns of their records in the place of the number."""
        at = pa.array(self.places[batch.column(self.record).fill_null(-1).to_numpy()])
        taken = {name: column.take(at) for name, column in self.columns.items()}
        kept = {name: batch.column(name) for name in batch.schema.names if name != self.record}
        return pa.RecordBatch.from_pydict(kept | taken)


def shared(
    engine: Engine, rows: ir.Table, sides: Sequence[Side], schema: Schema, parts: Sequence[str]
) -> list[SharedRecords]:
    """Makes the features of every side's records, once.

    Args:
        engine: keeps them.
        rows: the exposures that are written, with `part`.
        sides: the tables of records.
        schema: what the features are.
        parts: of the split.
    """
    used = [side for side in sides if set(side.table.columns) - set(side.keys)]
    return [_made_once(engine, rows, side, i, schema, parts) for i, side in enumerate(used)]


def _made_once(
    engine: Engine, rows: ir.Table, side: Side, i: int, schema: Schema, parts: Sequence[str]
) -> SharedRecords:
    features = tuple(
        feature
        for feature in schema.recorded
        if not encode.raw_names(feature) & set(rows.columns)
        and encode.raw_names(feature) <= set(side.table.columns)
    )
    others = (feature for feature in schema.recorded if feature not in features)
    spent = set().union(*map(encode.raw_names, features)) - set().union(
        *map(encode.raw_names, others)
    )
    raw = tuple(name for name in side.table.columns if name not in {*spent, *side.keys})
    names = [n for feature in schema.recorded for n in encode.prepared_names(feature)]
    record = _free(f"record{i}", [*rows.columns, *side.table.columns, *names])
    numbers = {_rows(record, n): (ibis._["part"] == part).sum() for n, part in enumerate(parts)}
    named = rows.group_by(list(side.keys)).aggregate(**numbers)
    order = [named[key] for key in side.keys]
    named = named.mutate(**{record: ibis.row_number().over(order_by=order)})
    wide = wide_joins.join(named, side.table, side.keys)
    made = {
        _made(record, name): value
        for feature in features
        for name, value in encode.feature_columns(wide, feature, schema.missing_words).items()
    }
    table = engine.keep(wide.select(record, *side.keys, *numbers, *raw, **made))
    return SharedRecords(table, tuple(side.keys), tuple(parts), features, record, raw)


def _free(name: str, taken: Sequence[str]) -> str:
    """Returns a name that none of those taken begins with."""
    while any(other.startswith(name) for other in taken):
        name = f"_{name}"
    return name


def _rows(record: str, part: int) -> str:
    """The column of a table of records that counts a part's exposures."""
    return f"{record}_rows{part}"


def _made(record: str, name: str) -> str:
    """The column of a table of records that holds a prepared column."""
    return f"{record}_made_{name}"
