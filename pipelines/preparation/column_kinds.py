"""Which column types can be read as what: a map is no feature, a float32 no time."""

from __future__ import annotations

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from idefn_tf.schema import Schema
from pipelines.preparation.encode import SAMPLE_WEIGHT


def check(table: ir.Table, schema: Schema, source: str) -> None:
    """Refuses columns of a raw table whose type cannot be read as the schema has it.

    Args:
        table: the raw table.
        schema: names its columns.
        source: the file.

    Raises:
        ValueError: naming column, file and type.
    """
    scalars = dict.fromkeys((*schema.labels.columns[:2], SAMPLE_WEIGHT), "a number")
    lists: list[str] = []
    for feature in schema.recorded:
        if feature.multi_valued:
            lists += [name for name in (feature.source, feature.weights) if name]
        else:
            scalars[feature.source] = "text" if feature.dtype == "string" else "a number"
    found = dict(table.schema().items())
    for name, what in scalars.items():
        if name in found and not _scalar(found[name]):
            cure = "write it as text, or leave it out" if what == "text" else "convert it"
            raise _refused(source, name, f"{what} in every cell", found[name], cure)
    for name in lists:
        if name in found and not _list(found[name]):
            raise _refused(source, name, "lists or separated text", found[name], "convert it")
    time = schema.labels.exposure_time
    if time is not None and time in found and not _time(found[time]):
        cure = (
            "float32 keeps 660 of the 86,400 seconds of a day: write int64 or text"
            if found[time].is_float32()
            else "convert it"
        )
        raise _refused(source, time, "times", found[time], cure)


def _scalar(kind: dt.DataType) -> bool:
    return bool(kind.is_string() or kind.is_numeric() or kind.is_boolean() or kind.is_null())


def _list(kind: dt.DataType) -> bool:
    if isinstance(kind, dt.Array):
        return _scalar(kind.value_type)
    return _scalar(kind)


def _time(kind: dt.DataType) -> bool:
    return (_scalar(kind) and not kind.is_float32()) or bool(kind.is_timestamp() or kind.is_date())


def _refused(source: str, name: str, rule: str, kind: dt.DataType, cure: str) -> ValueError:
    return ValueError(f"{source}: the column {name!r} must hold {rule}, received {kind}; {cure}")
