"""The engine that runs the expressions: Ibis, on DuckDB by default.

Everything above this file is written in Ibis expressions without a dialect of its own, so that
the same code runs where one machine is too small (`pipelines.preparation.spark`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

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

    def read(self, path: Path, delimiter: str = ",") -> ir.Table:
        """Returns the table in a CSV file (every column as text) or in a Parquet file.

        Args:
            path: the file.
            delimiter: what separates the columns of a CSV file.

        Raises:
            ValueError: if the file is neither, or cannot be read.
        """
        with translated_errors(f"reading {path.name}"):
            if path.suffix == ".parquet":
                return self._without_nanoseconds(self.connection.read_parquet(str(path)), path)
            if path.suffix == ".csv":
                # everything is said: a guess would skip lines of another length
                form = {"header": True, "skip": 0, "quote": '"', "escape": '"'}
                form |= {"delim": delimiter}
                return self.connection.read_csv(str(path), all_varchar=True, **form)
        raise ValueError(f"file: {path} must end in .csv or .parquet; convert it")

    def _without_nanoseconds(self, table: ir.Table, path: Path) -> ir.Table:
        """Cuts timestamps to microseconds: DuckDB's own cast rounds, and Ibis knows not all."""
        changed = []
        for name, zoned in nanosecond_columns(path).items():
            column = '"' + name.replace('"', '""') + '"'
            ns = f"epoch_ns({column})"
            whole = f"make_timestamp(({ns} - (({ns} % 1000) + 1000) % 1000) // 1000)"
            changed.append(f"{whole}{'::TIMESTAMPTZ' if zoned else ''} AS {column}")
        if not changed:
            return table
        source = table.get_name()
        cut = f'SELECT * REPLACE ({", ".join(changed)}) FROM "{source}"'
        self.connection.con.execute(f'CREATE TEMP VIEW "{source}_cut" AS {cut}')
        return self.connection.table(f"{source}_cut")

    def read_all(self, paths: list[Path]) -> ir.Table:
        """Returns the rows of several Parquet files of one form as one table."""
        with translated_errors(f"reading {paths[0].parent}"):
            return self.connection.read_parquet([str(path) for path in paths])

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
