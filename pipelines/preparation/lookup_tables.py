"""Joins the tables of users and items to a log of exposures, never multiplying its rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ibis.expr.types as ir

from idefn_tf.schema import DType, Schema
from pipelines.preparation import checks
from pipelines.preparation.checks import Report
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.wide_joins import Side


def join(
    engine: Engine,
    log: ir.Table,
    sides: Mapping[str, Path],
    stems: Mapping[str, str],
    schema: Schema,
    report: Report,
) -> tuple[ir.Table, tuple[Side, ...]]:
    """Adds the columns that the schema needs and the log does not have.

    Args:
        engine: reads the tables.
        log: one row per exposure, with every key.
        sides: the side tables found, by the key they are joined on.
        stems: the names of all possible side tables by key, for the error's cure.
        schema: says which columns are needed.
        report: takes values of the wrong type, repeated keys, and exposures without a match.

    Returns:
        The log with the columns, and the records they come from.

    Raises:
        ValueError: if a needed column is nowhere, one is text to one feature and a number to
            another, or a check fails.
    """
    wanted: dict[str, DType | None] = {}
    for feature in schema.recorded:
        dtype = None if feature.multi_valued else feature.dtype
        earlier = wanted.get(feature.source) or dtype
        if dtype is not None and earlier != dtype and "string" in (earlier, dtype):
            raise ValueError(
                f"feature {feature.name!r}: must read column {feature.source!r} as the feature "
                f"before it does, as {earlier}, received {dtype}; give both one dtype"
            )
        wanted[feature.source] = dtype
        if feature.weights:
            wanted[feature.weights] = None
    wanted = {name: dtype for name, dtype in wanted.items() if name not in log.columns}
    table, missing, found = log, set(wanted), []
    for key, path in sides.items():
        side = engine.read(path)
        columns: dict[str, DType | None] = {key: "int64"}
        columns |= {name: wanted[name] for name in side.columns if name in missing}
        missing -= set(columns)
        side = checks.typed(side, columns, path.name, report)
        checks.unique_key(side, key, path.name, report)
        report.raise_if_failed()
        side = engine.keep(side.filter(side[key].notnull()))
        found.append(Side(side, (key,), joined=True))
        table = table.left_join(side, key).drop(f"{key}_right")
        with translated_errors(f"reading {path.name}"):
            strangers = int(log.anti_join(side, key).count().execute())
        if strangers:
            report.notes.append(
                f"{strangers:,} exposures have a {key} that {path.name} does not hold; "
                "its columns are missing there"
            )
    if missing:
        names = [stems[key] for key in stems if key not in sides]
        cure = f"add {' and '.join(names)}" if names else "correct `column` in the schema"
        raise ValueError(
            f"schema: the features need the raw columns {sorted(missing)}, which no file holds; "
            f"{cure}, or remove the features"
        )
    return table, tuple(found)
