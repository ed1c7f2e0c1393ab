"""The same expressions on Apache Spark, for data beyond one machine.

A cluster's workers must see the raw folder and the prepared folder under the same paths (a shared
file system). Rows come back to this process slice by slice to be written, so the files are those
that DuckDB gives.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from pipelines.preparation.engine import ERRORS, Engine, nanosecond_columns, translated_errors

_SIZE = re.compile(r"^\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT])i?B?\s*$", re.IGNORECASE)
_MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


class SparkEngine(Engine):
    """A Spark session in the place of DuckDB.

    A session that is already active (under spark-submit, in a notebook) is used and left running.

    Args:
        work: an existing folder for temporary files; the caller removes it.
        memory: the driver's memory, such as "2GB"; the workers' is the cluster's own setting.
        threads: worker threads where the session is local.
        master: the cluster, such as "spark://HOST:PORT"; by default what spark-defaults.conf or
            spark-submit say, else this machine.
    """

    def __init__(
        self, work: Path, memory: str = "2GB", threads: int | None = None, master: str | None = None
    ) -> None:
        session_class = _session_class()
        builder = session_class.builder.appName("idefn_tf preparation")
        settings: dict[str, str | int] = {
            "spark.driver.memory": f"{_megabytes(memory)}m",
            "spark.driver.maxResultSize": 0,  # slices bound it
            "spark.local.dir": str(work.resolve()),
            "spark.log.level": "ERROR",
            "spark.sql.caseSensitive": "true",
            "spark.sql.warehouse.dir": str(work.resolve() / "warehouse"),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        if master is None and threads is not None:
            master = f"local[{threads}]"
            settings["spark.sql.shuffle.partitions"] = threads
            settings["spark.driver.bindAddress"] = settings["spark.driver.host"] = "127.0.0.1"
        for name, value in settings.items():
            builder = builder.config(name, value)
        if master is not None:
            builder = builder.master(master)
        self._found = session_class.getActiveSession() is not None
        with translated_errors("opening the engine"):
            self._session = builder.getOrCreate()
            ibis.pyspark.connect(self._session)  # makes the backend's options known to Ibis
            self.connection: Any = _arrow_backend()
            self.connection.do_connect(self._session)
        self.work = work
        self.threads = threads or len(os.sched_getaffinity(0))
        self._kept: Any = []
        self._views = 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for table in self._kept:
            table.release()
        if not self._found:
            self.connection.disconnect()

    def _parquet(self, file: Path, names: list[str], wanted: list[str]) -> ir.Table:
        """Reads a Parquet file; Ibis learns which times count from 1970 in UTC.

        Spark has no nanoseconds: they come as whole numbers and are cut to microseconds.
        """
        self._session.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
        frame = self._frame([file]).select(*(_escaped(name) for name in wanted))
        found = nanosecond_columns(file)
        for name in set(found) & set(wanted):
            column = _escaped(name)
            cut = f"timestamp_micros(({column} - pmod({column}, 1000L)) div 1000L)"
            cut = cut if found[name] else f"CAST({cut} AS TIMESTAMP_NTZ)"
            frame = frame.withColumn(name, _sql(cut))
        table = self._view(frame)
        kinds = {field.name: field.dataType.typeName() for field in frame.schema}
        utc = [name for name, kind in kinds.items() if kind == "timestamp"]
        return table.mutate(**{name: table[name].cast("timestamp('UTC')") for name in utc})

    def _frame(self, files: Sequence[Path]) -> Any:
        """Reads these files as they are named; a base of their own keeps folders from columns."""
        literal = {c: "\\" + c for c in "[]{}*?\\"}
        named = ["".join(literal.get(c, c) for c in str(file)) for file in files]
        reader = self._session.read.option("recursiveFileLookup", "true")
        return reader.parquet(*named)

    def read_all(self, paths: list[Path]) -> ir.Table:
        """Returns the rows of several Parquet files of one form as one table."""
        with translated_errors(f"reading {paths[0].parent}"):
            return self._view(self._frame(paths))

    def batches(self, table: ir.Table, rows: int) -> Iterator[pa.RecordBatch]:
        """Gives a table's rows, in its order, as batches of at most `rows`.

        All of them are held here once: ask for a slice at a time.
        """
        with translated_errors("writing rows"):
            found = self.connection.to_pyarrow(table)
        yield from found.to_batches(max_chunksize=rows)

    def keep(self, table: ir.Table) -> ir.Table:
        """Computes a table once, when it is first used, and keeps it for further use."""
        with translated_errors("reading the raw tables"):
            self._kept.append(table.cache())
        return self._kept[-1]

    def numbered(self, table: ir.Table, order: Sequence[str], number: str) -> ir.Table:
        """Keeps a table's rows with their place in an order, from 0."""
        place = ibis.row_number().over(order_by=[table[name] for name in order])
        return self.keep(table.mutate(**{number: place}))

    def _view(self, frame: Any) -> ir.Table:
        self._views += 1
        name = f"idefn_tf_{self._views}"
        frame.createOrReplaceTempView(name)
        return self.connection.table(name)


def _session_class() -> Any:
    """Imports PySpark.

    Raises:
        ValueError: if it or Java is missing.
    """
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise ValueError(
            "--engine: spark needs Java 17 or newer on PATH, received none; install it"
        )
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise ValueError(
            "--engine: spark needs PySpark, which is not installed; "
            "pip install -r requirements/spark.in"
        ) from None
    ERRORS.extend(error for error in (PySparkException, Py4JError) if error not in ERRORS)
    return SparkSession


def _escaped(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _sql(expression: str) -> Any:
    from pyspark.sql import functions

    return functions.expr(expression)


def _arrow_backend() -> Any:
    """Returns Ibis' backend for Spark with results that never pass through pandas.

    Ibis asks for `toPandas`, where integers beside a null become floats.
    """
    from ibis.backends.pyspark import Backend

    class ArrowBackend(Backend):
        def to_pyarrow(self, expr: ir.Expr, /, **kwargs: Any) -> Any:
            table = expr.as_table()
            found = self._session.sql(self.compile(table, **kwargs)).toArrow()
            return expr.__pyarrow_result__(found.cast(table.schema().to_pyarrow()))

        def execute(self, expr: ir.Expr, /, **kwargs: Any) -> Any:
            return expr.__pandas_result__(self.to_pyarrow(expr.as_table(), **kwargs).to_pandas())

    return ArrowBackend()


def _megabytes(memory: str) -> int:
    found = _SIZE.match(memory)
    if found is None:
        raise ValueError(f"--memory: must be a size such as 2GB, received {memory!r}")
    return max(512, int(float(found["number"]) * _MEGABYTES[found["unit"].upper()]))
