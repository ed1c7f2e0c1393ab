"""What a data set's reader must offer to preparation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from idefn_tf.schema import Schema
from pipelines.checks import Report
from pipelines.datasets.engine import Engine
from pipelines.datasets.split import Split


@dataclass(frozen=True)
class Exposures:
    """One row per exposure, with every raw column that the schema names.

    Attributes:
        table: the raw columns, `row_id` (int64, unique, rising with time) and `day` (YYYYMMDD);
            simulated data also have `oracle_conversion` and `oracle_probability`.
        duplicates: exact duplicate rows that were dropped.
        keys: columns that tell a reader of the report which row is meant.
    """

    table: ir.Table
    duplicates: int = 0
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A data set's reader.

    Attributes:
        command: the name on the command line.
        schema: the shipped schema's file name.
        sources: lists the raw files, from (raw folder, options).
        read: builds the exposures, from (engine, files, schema, report).
        auto_split: chooses the split from the sorted days found (YYYYMMDD).
        extra: more entries for the data card, from (raw folder, prepared folder).
    """

    command: str
    schema: str
    sources: Callable[[Path, Mapping[str, Any]], list[Path]]
    read: Callable[[Engine, Sequence[Path], Schema, Report], Exposures]
    auto_split: Callable[[Sequence[int]], Split]
    extra: Callable[[Path, Path], dict[str, Any]] = field(default=lambda raw, out: {})
