"""The engine that runs the expressions: Ibis, on DuckDB by default.

Everything above this file is written in Ibis expressions without a dialect of its own, so that
the same code runs where one machine is too small (`pipelines.preparation.spark`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.preparation.plain_files import plain

#: What engines raise; another engine adds its own.
ERRORS: list[type[Exception]] = [duckdb.Error]


class Engine:
    """A connection with bounded memory, which spills into `work`.

    Args:
        work: an existing folder for temporary files; the caller removes it.
        memory: the most memory the engine may hold, such as "2GB".
        threads: worker threads; all cores by default.

    Attributes:
        work: the folder for temporary files.
        threads: worker threads.
    """

    def __init__(self, work: Path, memory: str = "2GB", threads: int | None = None) -> None:
        settings: dict[str, object] = {"memory_limit": memory, "temp_directory": str(work)}
        if threads is not None:
            settings["threads"] = threads
        with translated_errors("opening the engine"):
            self.connection = ibis.duckdb.connect(**settings)
        self.work = work
        self.threads = threads or len(os.sched_getaffinity(0))
        self._kept = 0

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.connection.disconnect()

    def read(self, path: Path, columns: Collection[str] | None = None) -> ir.Table:
        """Returns the table in a CSV file (every column as text) or in a Parquet file.

        Folders such as day=3 in the path give no column, and no character of a path is a wildcard.

        Args:
            path: the file.
            columns: those that are needed, where the file has them; all by default.

        Raises:
            ValueError: if the file is neither, or cannot be read.
        """
        file = plain(path, self.work / "plain", columns)
        names = pq.read_schema(file).names
        wanted = [name for name in names if columns is None or name in columns]
        check_case(wanted, path)
        with translated_errors(f"reading {path.name}"):
            return self._parquet(file, names, wanted)

    def _parquet(self, file: Path, names: list[str], wanted: list[str]) -> ir.Table:
        """Cuts timestamps to microseconds: DuckDB's own cast rounds, and Ibis knows not all."""
        rows, run = _rows_of([file]), self.connection.con.execute
        # DuckDB renames columns that differ in case only; places tell which is which
        called = [found[0] for found in run(f"DESCRIBE SELECT * FROM {rows}").fetchall()]
        nanoseconds = nanosecond_columns(file)
        made = []
        for name, inside in zip(names, called, strict=True):
            if name not in wanted:
                continue
            column = _quoted(inside)
            if name in nanoseconds:
                ns = f"epoch_ns({column})"
                column = f"make_timestamp(({ns} - (({ns} % 1000) + 1000) % 1000) // 1000)"
                column += "::TIMESTAMPTZ" if nanoseconds[name] else ""
            made.append(f"{column} AS {_quoted(name)}")
        self._kept += 1
        view = f"raw_{self._kept}"
        run(f"CREATE TEMP VIEW {view} AS SELECT {', '.join(made) or '1 AS nothing'} FROM {rows}")
        return self.connection.table(view)

    def read_all(self, paths: list[Path]) -> ir.Table:
        """Returns the rows of several Parquet files of one form as one table."""
        with translated_errors(f"reading {paths[0].parent}"):
            self._kept += 1
            view = f"parts_{self._kept}"
            rows = _rows_of(paths)
            self.connection.con.execute(f"CREATE TEMP VIEW {view} AS SELECT * FROM {rows}")
            return self.connection.table(view)

    def batches(self, table: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:
        """Streams a table's rows, in its order, as batches of about `rows`.

        Ibis' own `to_pyarrow_batches` calls a function that DuckDB 2 no longer has.
        """
        form = table.schema().to_pyarrow()
        with translated_errors("writing rows"):
            relation = self.connection.con.sql(self.connection.compile(table))
            stream = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
            for batch in stream(rows):
                yield batch.cast(form)

    def keep(self, table: ir.Table) -> ir.Table:
        """Computes a table once and keeps it for further use."""
        self._kept += 1
        with translated_errors("reading the raw tables"):
            return self.connection.create_table(f"kept_{self._kept}", table, temp=True)

    def numbered(self, table: ir.Table, order: Sequence[str], number: str) -> ir.Table:
        """Keeps a table's rows with their place in an order, from 0.

        DuckDB sorts a table it writes in half the time of a window over all rows, and the rows of
        a table that was written at once are numbered as they lie.

        Args:
            table: the rows.
            order: columns that tell all rows apart; no value comes last.
            number: the new column.
        """
        kept = self.keep(table.order_by(order))
        return kept.mutate(**{number: kept.rowid()})


def _rows_of(files: Sequence[Path]) -> str:
    """Returns what DuckDB reads: these files as they are named, no column from their folders."""
    literal = {"[": "[[]", "*": "[*]", "?": "[?]", "'": "''"}
    named = ("".join(literal.get(c, c) for c in str(file)) for file in files)
    listed = ", ".join(f"'{name}'" for name in named)
    return f"read_parquet([{listed}], hive_partitioning=false)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def check_case(names: Sequence[str], path: Path) -> None:
    """Refuses needed columns whose names differ in case only, which engines take for one."""
    lower: dict[str, str] = {}
    for name in names:
        if other := lower.get(name.lower()):
            raise ValueError(
                f"{path.name}: the columns {other!r} and {name!r} must differ in more than case "
                "for preparation; rename one, and name it by `column` in the schema"
            )
        lower[name.lower()] = name


def nanosecond_columns(path: Path) -> dict[str, bool]:
    """Returns the columns of a Parquet file that hold nanoseconds: whether they are of UTC."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return {}  # the engine says what is wrong with the file
    kinds = {field.name: field.type for field in schema}
    return {
        name: kind.tz is not None
        for name, kind in kinds.items()
        if pa.types.is_timestamp(kind) and kind.unit == "ns"
    }


@contextmanager
def translated_errors(doing: str) -> Iterator[None]:
    """Turns the engine's own errors into a ValueError that says what was being done."""
    try:
        yield
    except tuple(ERRORS) as error:
        text = str(error).strip().split("\n\n")[0]
        raise ValueError(f"{doing}: the engine stopped; {text}") from error
