"""Writes the prepared rows in the order of row_id, one slice after the other.

A slice is a span of row_id. It is joined to its sides, sorted and streamed out before the next one
is begun, so that memory follows the slice and not the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa

from idefn_tf.schema import Feature, Schema
from pipelines.cli.console import Console
from pipelines.preparation import encode
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.history import Added
from pipelines.preparation.prepared_folder import write_part
from pipelines.preparation.read_ahead import read_ahead
from pipelines.preparation.wide_joins import Side, widened

_BATCH_ROWS = 65_536
#: Batches that wait while earlier ones are written; more take memory and no less time.
_AHEAD = 1


@dataclass(frozen=True)
class Slices:
    """The rows to write, slice by slice.

    Attributes:
        engine: runs the expressions.
        rows: the exposures that belong to a part, with its name in `part`.
        sides: tables with their further columns.
        schema: what the columns are.
        slice_rows: about how many rows a slice holds.
        added: further columns, found by row_id.
    """

    engine: Engine
    rows: ir.Table
    sides: Sequence[Side]
    schema: Schema
    slice_rows: int
    added: Added | None = None

    def write(self, root: Path, parts: Sequence[str], part_rows: int, console: Console) -> None:
        """Writes every part as numbered Parquet files of `part_rows` rows."""
        features = list(encode.prepared_columns(widened(self.rows, self.sides), self.schema))
        report = list(encode.report_columns(self.rows, self.schema))
        sides = [self._made_once(side) for side in self.sides]
        wide = self._wide(self.rows, sides)
        forms = [wide.select(*names).schema().to_pyarrow() for names in (features, report)]
        if self.added is not None:
            forms[0] = self.added.form(forms[0])
        spans, total = self._spans()
        with console.progress(f"writes {total:,} rows", total) as advance:
            for part in parts:
                made = self._batches(part, spans[part], sides)
                # closed on an error, too: the engine cannot end while the thread asks it
                with closing(read_ahead(made, _AHEAD)) as batches:
                    for n in write_part(root, part, batches, forms[0], forms[1], part_rows):
                        advance(n)

    def _made_once(self, side: Side) -> Side:
        """Makes the features of a side's records before exposures are joined to them."""
        features = [
            feature
            for feature in self.schema.recorded
            if not {feature.source, feature.weights} & set(self.rows.columns)
            and {feature.source, feature.weights or feature.source} <= set(side.table.columns)
        ]
        made = encode.made_once(side.table, features, self.schema.missing_words)
        others = (feature for feature in self.schema.recorded if feature not in features)
        spent = _raw_columns(features) - _raw_columns(others) - set(side.keys)
        kept = made.drop(*spent)
        return Side(self.engine.keep(kept) if features else side.table, side.keys)

    def _batches(
        self, part: str, spans: Sequence[tuple[int, int]], sides: Sequence[Side]
    ) -> Iterator[pa.RecordBatch]:
        rows = self.rows.filter(self.rows["part"] == part)
        for first, last in spans:
            some = rows.filter(rows["row_id"].between(first, last))
            batches = self.engine.batches(self._wide(some, sides).order_by("row_id"), _BATCH_ROWS)
            yield from batches if self.added is None else map(self.added, batches)

    def _wide(self, rows: ir.Table, sides: Sequence[Side]) -> ir.Table:
        table = widened(rows, sides)
        report = encode.report_columns(table, self.schema)
        return table.select(**(report | encode.prepared_columns(table, self.schema)))

    def _spans(self) -> tuple[dict[str, list[tuple[int, int]]], int]:
        """Returns by part its spans of row_id, both ends included, and the number of all rows."""
        row_id = self.rows["row_id"]
        with translated_errors("counting rows"):
            counted = (
                self.rows.group_by("part")
                .aggregate(rows=self.rows.count(), least=row_id.min(), greatest=row_id.max())
                .to_pyarrow()
                .to_pylist()
            )
        spans = {}
        for found in counted:
            number = -(-found["rows"] // self.slice_rows)
            least, width = found["least"], found["greatest"] + 1 - found["least"]
            edges = [least + width * i // number for i in range(number + 1)]
            spans[found["part"]] = [(a, b - 1) for a, b in pairwise(edges)]
        return spans, sum(found["rows"] for found in counted)


def _raw_columns(features: Iterable[Feature]) -> set[str]:
    return {name for f in features for name in (f.source, f.weights) if name is not None}
