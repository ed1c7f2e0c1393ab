"""What a data set's reader must offer to preparation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from idefn_tf.data import read_table
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.preparation.checks import Report
from pipelines.preparation.engine import Engine
from pipelines.preparation.split import NamedParts, Split
from pipelines.preparation.wide_joins import Side


@dataclass(frozen=True)
class Request:
    """What a reader is asked for.

    Attributes:
        files: what `sources` listed.
        schema: what the columns are.
        options: the data set's own options.
        console: where to say what is done.
        as_of: the observation time, in the schema's time unit; by default the log's end.
    """

    files: Sequence[Path]
    schema: Schema
    options: Mapping[str, Any] = field(default_factory=dict)
    console: Console = field(default_factory=lambda: Console(quiet=True))
    as_of: int | None = None


@dataclass(frozen=True)
class Exposures:
    """One row per exposure, with every raw column that the schema names.

    Attributes:
        table: the raw columns, `row_id` (int64, unique, rising with time) and `day` (YYYYMMDD),
            or `part` where `split` names the parts; simulated data also have
            `oracle_conversion` and `oracle_probability`.
        duplicates: exact duplicate rows that were dropped.
        keys: columns that tell a reader of the report which row is meant.
        sides: tables with further raw columns, joined slice by slice as the rows are written.
        split: the data set's own parts, where it has no days.
        immature: what was done with rows whose attribution window is open, where the reader looked
            for them before it split the rows; else that follows.
    """

    table: ir.Table
    duplicates: int = 0
    keys: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()
    split: NamedParts | None = None
    immature: Mapping[str, Any] = field(default_factory=dict)


def read_events(
    engine: Engine, request: Request, files: Sequence[Path], report: Report
) -> pa.Table:
    """Reads files of earlier exposures that hold the schema's raw columns."""
    return read_table([str(file) for file in files], request.schema)


@dataclass(frozen=True)
class Dataset:
    """A data set's reader.

    Attributes:
        command: the name on the command line.
        schema: the shipped schema's file name.
        sources: lists the raw files, from (raw folder, options).
        read: builds the exposures, from (engine, request, report).
        auto_split: chooses the split from the sorted days found (YYYYMMDD).
        extra: more entries for the data card, from (raw folder, prepared folder).
        events: reads files of earlier exposures, from (engine, request, files, report).
    """

    command: str
    schema: str
    sources: Callable[[Path, Mapping[str, Any]], list[Path]]
    read: Callable[[Engine, Request, Report], Exposures]
    auto_split: Callable[[Sequence[int]], Split]
    extra: Callable[[Path, Path], dict[str, Any]] = field(default=lambda raw, out: {})
    events: Callable[[Engine, Request, Sequence[Path], Report], pa.Table] = read_events
