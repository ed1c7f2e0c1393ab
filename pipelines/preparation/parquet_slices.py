"""Writes the prepared rows in the order of row_id, one slice after the other.

A slice is a span of row_id. Its exposures are sorted and streamed out before the next one is begun,
and take what they share from records in memory, so that memory follows the slice and not the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.preparation import encode
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.history import Added
from pipelines.preparation.read_ahead import read_ahead
from pipelines.preparation.row_files import Unfinished, write_rows
from pipelines.preparation.shared_records import Found, SharedRecords

_BATCH_ROWS = 65_536
#: Batches that wait while earlier ones are written; more take memory and no less time.
_AHEAD = 1
#: Files written at the same time, where there are as many threads.
_WRITERS = 2


@dataclass(frozen=True)
class Slices:
    """The rows to write, slice by slice.

    Attributes:
        engine: runs the expressions.
        rows: the exposures that belong to a part, with its name in `part`.
        records: those that exposures share, with their further columns.
        schema: what the columns are.
        slice_rows: about how many rows a slice holds.
        added: further columns, found by row_id.
    """

    engine: Engine
    rows: ir.Table
    records: Sequence[SharedRecords]
    schema: Schema
    slice_rows: int
    added: Added | None = None

    def write(self, root: Path, parts: Sequence[str], part_rows: int, console: Console) -> None:
        """Writes every part as numbered Parquet files of `part_rows` rows."""
        features, report = self._forms()
        if self.added is not None:
            features = self.added.form(features)
        spans, total = self._spans()
        threads = min(_WRITERS, self.engine.threads)
        with console.progress(f"writes {total:,} rows", total) as advance:
            made = chain.from_iterable(self._batches(part, spans[part]) for part in parts)
            # closed on an error, too: the engine cannot end while the thread asks it
            with closing(read_ahead(made, _AHEAD)) as batches:
                for n in write_rows(root, batches, features, report, part_rows, threads):
                    advance(n)

    def _forms(self) -> list[pa.Schema]:
        """Returns the columns that a model reads, and those that only reports read."""
        rows = self._own(self.rows).schema().to_pyarrow()
        kinds = {
            field.name: field
            for form in (rows, *(r.form() for r in self.records))
            for field in form
        }
        of_features = [n for f in self.schema.recorded for n in encode.prepared_names(f)]
        report = list(encode.report_columns(self.rows, self.schema))
        others = [name for name in kinds if name not in {*of_features, *report}]
        others = [name for name in others if name not in {r.record for r in self.records}]
        return [
            pa.schema([kinds[n] for n in names])
            for names in (["row_id", *of_features, *others], report)
        ]

    def _batches(self, part: str, spans: Sequence[tuple[int, int]]) -> Iterator[Unfinished]:
        rows = self.rows.filter(self.rows["part"] == part)
        kept = [self._kept(records, part) for records in self.records]
        for first, last in spans:
            some = self._own(rows.filter(rows["row_id"].between(first, last)))
            found = [
                held or records.read(self.engine, records.table.semi_join(some, records.record))
                for records, held in zip(self.records, kept, strict=True)
            ]
            for batch in self.engine.batches(some.order_by("row_id"), _BATCH_ROWS):
                yield Unfinished(part, batch, partial(self._finish, found))

    def _finish(self, found: Sequence[Found], batch: pa.RecordBatch) -> pa.RecordBatch:
        """Adds the columns that the engine does not make."""
        for records in found:
            batch = records.beside(batch)
        return batch if self.added is None else self.added(batch)

    def _kept(self, records: SharedRecords, part: str) -> Found | None:
        """Reads a part's records at once, where a slice could hold as many."""
        asked = records.of_part(part)
        with translated_errors("counting rows"):
            number = int(asked.count().execute())
        return records.read(self.engine, asked) if number <= self.slice_rows else None

    def _own(self, rows: ir.Table) -> ir.Table:
        """Returns the columns of exposures that no record gives, and their records' numbers."""
        for records in self.records:
            rows = records.numbered(rows)
        apart = {feature.name for records in self.records for feature in records.features}
        report = encode.report_columns(rows, self.schema)
        own = report | encode.prepared_columns(rows, self.schema, apart)
        return rows.select(**own, **{r.record: rows[r.record] for r in self.records})

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
