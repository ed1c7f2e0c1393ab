"""EventLog: past exposures, and from when each of their outcomes is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from idefn_tf._files import atomic_path
from idefn_tf.data import object_store, to_arrays
from idefn_tf.data.arrow_to_numpy import label_values
from idefn_tf.data.convert import convert
from idefn_tf.data.files import column_values
from idefn_tf.history.as_of import NEVER, known_at, span
from idefn_tf.schema import Schema
from idefn_tf.schema.history import Event

#: What a rate can be of.
RATED: tuple[Event, ...] = ("click", "conversion")
#: The columns of a log, by what they say.
PARTS = ("features", "known", "final", "happened", "values")


@dataclass(frozen=True)
class EventLog:
    """Past exposures, one a row, in the order in which equal times follow each other.

    Attributes:
        features: what keys and sequences read, by feature: int64 or object [n].
        known: from when each event is known, int64 [n]: `NEVER` where it did not happen.
        final: from when it is known whether the event happened, int64 [n], by event of a rate.
        happened: whether it did, bool [n], by event of a rate.
        values: what sums add up, by column, float64 [n].
        dropped: rows left out because their time is missing.
    """

    features: dict[str, np.ndarray]
    known: dict[str, np.ndarray]
    final: dict[str, np.ndarray]
    happened: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.known["exposure"])

    def take(self, at: np.ndarray) -> EventLog:
        """Returns the rows that an index or a mask names."""
        taken: dict[str, Any] = {
            part: {name: values[at] for name, values in getattr(self, part).items()}
            for part in PARTS
        }
        return replace(self, **taken)


def read_features(schema: Schema) -> tuple[str, ...]:
    """Returns the recorded features that keys and items of a schema name, each once."""
    aggregates = schema.history.aggregates if schema.history else ()
    names = [name for aggregate in aggregates for name in aggregate.keys]
    for sequence in schema.sequences:
        names += [sequence.key, *sequence.items]
    return tuple(dict.fromkeys(names))


def read_values(schema: Schema) -> tuple[str, ...]:
    """Returns the columns that sums add up, each once."""
    aggregates = schema.history.aggregates if schema.history else ()
    return tuple(dict.fromkeys(a.value for a in aggregates if a.value is not None))


def key_arrays(schema: Schema, table: pa.Table) -> dict[str, np.ndarray]:
    """Returns the features that history reads, by what a cell means (`schema.cells`)."""
    names = set(read_features(schema))
    features = tuple(feature for feature in schema.recorded if feature.name in names)
    some = schema.model_copy(update={"features": features, "history": None, "sequences": ()})
    return to_arrays(some, table, labels=False)


def time_array(schema: Schema, table: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns a column of times in the schema's unit and where it is missing.

    Raises:
        ValueError: naming the column, if a time is negative or no whole number.
    """
    found = column_values(table, column)
    if pa.types.is_timestamp(found.type):
        found = found.cast(pa.timestamp(schema.labels.time_unit, found.type.tz)).cast(pa.int64())
    values = convert(found, column, "int64", -1, schema.missing_words)
    missing = values == -1
    if (values[~missing] < 0).any():
        row = int(np.argmax((values < 0) & ~missing))
        raise ValueError(
            f"{column}: times must be 0 or more {schema.labels.time_unit} since 1970, received "
            f"{values[row]} in row {row};\nleave out the row, or write its time"
        )
    return values, missing


def from_table(
    schema: Schema, table: pa.Table, renamed: Mapping[Event, str] | None = None
) -> EventLog:
    """Reads exposures with their outcomes as events.

    An exposure is known at its time; a click at `labels.click_time`, or with its exposure; a
    conversion at `labels.conversion_time`, or when the attribution window closes, or with its
    click where the schema states neither. `history.lag` is added to all of them. Whether an
    exposure led to a click or a conversion is final once the window has closed; without one, as
    soon as it is known.

    Args:
        schema: names columns and keys.
        table: the exposures.
        renamed: columns that stand for events in place of the labels' (`history.columns`).

    Raises:
        ValueError: if a column is missing, or a time cannot be read.
    """
    labels, history = schema.labels, schema.history
    columns = dict(renamed or {})
    features = key_arrays(schema, table)
    rows = table.num_rows
    click = _flag(schema, table, columns.get("click"), (labels.click, "click"))
    conversion = _flag(schema, table, columns.get("conversion"), (labels.conversion, "conversion"))
    hides = history is None or history.conversion == "after_click"
    if hides and "click" not in columns:  # what stands for a click says not who was no click
        conversion &= click
    exposed = np.ones(rows, bool)
    if "exposure" in columns:
        exposed = _flag(schema, table, columns["exposure"], ())
    moment = known_at(history, labels)
    timed = labels.exposure_time is not None and labels.exposure_time in table.column_names
    if timed:
        shown, missing = time_array(schema, table, str(labels.exposure_time))
        clicked_at = _later(schema, table, labels.click_time, shown)
        converted_at = _later(schema, table, labels.conversion_time, clicked_at)
        window = labels.attribution
        if window is not None:
            begin = clicked_at if window.from_ == "click" else shown
            closes = begin + round(window.window_hours * (span("1h", labels) or 0))
            final_conversion = np.maximum(closes, converted_at * conversion)
            if labels.conversion_time is None:
                converted_at = closes
        else:
            final_conversion = np.where(conversion, converted_at, clicked_at)
    elif moment is not None:
        missing = np.zeros(rows, bool)
        shown = clicked_at = converted_at = final_conversion = np.full(rows, moment - 1, np.int64)
    else:
        raise ValueError(
            f"events: must hold the column {labels.exposure_time!r}, received "
            f"{sorted(table.column_names)};\nadd it, or say history.known_at for events without "
            "times"
        )
    lag = span(history.lag, labels) if history and history.lag else 0
    known = {
        "exposure": np.where(exposed, shown + (lag or 0), NEVER),
        "click": np.where(click, clicked_at + (lag or 0), NEVER),
        "conversion": np.where(conversion, converted_at + (lag or 0), NEVER),
    }
    final = {
        "click": np.where(exposed, clicked_at + (lag or 0), NEVER),
        "conversion": np.where(exposed, final_conversion + (lag or 0), NEVER),
    }
    values = {
        name: convert(column_values(table, name), name, "float32", 0.0).astype(np.float64)
        for name in read_values(schema)
    }
    log = EventLog(
        features,
        known,
        final,
        {"click": click, "conversion": conversion},
        values,
        int(missing.sum()),
    )
    return log.take(~missing) if missing.any() else log


def joined(logs: Iterable[EventLog]) -> EventLog:
    """Returns several logs as one; exposures that an earlier log holds too count once.

    Two rows are the same exposure if their features and all times are equal.
    """
    listed = list(logs)
    if len(listed) == 1:
        return listed[0]
    marks = [_marks(log) for log in listed]
    kept, seen = [], None
    for log, mark in zip(listed, marks, strict=True):
        fresh = np.ones(len(log), bool) if seen is None else ~np.isin(mark, seen)
        kept.append(log.take(fresh))
        seen = mark if seen is None else np.concatenate([seen, mark])
    whole: dict[str, Any] = {
        part: {
            name: np.concatenate([getattr(log, part)[name] for log in kept])
            for name in getattr(kept[0], part)
        }
        for part in PARTS
    }
    return EventLog(**whole, dropped=sum(log.dropped for log in kept))


def _marks(log: EventLog) -> np.ndarray:
    """Returns a hash of each row, uint64."""
    whole = {**log.features, **{f"known {k}": v for k, v in log.known.items()}}
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(whole), index=False))


def _flag(schema: Schema, table: pa.Table, column: str | None, names: Sequence[str]) -> np.ndarray:
    asked = (column,) if column is not None else names
    for name in asked:
        if name in table.column_names:
            return label_values(schema, table, name) == 1
    raise ValueError(
        f"events: must hold the column {asked[0]!r}, received {sorted(table.column_names)};\n"
        "add it, or name what stands for it in history.columns"
    )


def _later(
    schema: Schema, table: pa.Table, column: str | None, otherwise: np.ndarray
) -> np.ndarray:
    """Returns when something happened; where that is not recorded, `otherwise`."""
    if column is None or column not in table.column_names:
        return otherwise
    values, missing = time_array(schema, table, column)
    return np.where(missing, otherwise, values)


def write(log: EventLog, path: str | Path) -> None:
    """Writes a log as Parquet; `read` gives an equal one."""
    columns: dict[str, Any] = {}
    for part in PARTS:
        for name, values in getattr(log, part).items():
            text = values.dtype.kind == "O"
            array = pa.array(values, pa.large_binary()).cast(pa.large_string()) if text else values
            columns[f"{part}:{name}"] = pa.array(array) if not text else array
    table = pa.table(columns)
    with atomic_path(path) as hidden:
        pq.write_table(table, hidden, compression="zstd")


def read(path: str) -> EventLog:
    """Reads what `write` wrote, also from a bucket.

    Raises:
        ValueError: if the file cannot be read.
    """
    with object_store.explained(path, "events"):
        table = pq.read_table(object_store.opened(path), partitioning=None)
    parts: dict[str, Any] = {part: {} for part in PARTS}
    for name in table.column_names:
        part, _, column = name.partition(":")
        values = table.column(name)
        if pa.types.is_large_string(values.type):
            parts[part][column] = values.cast(pa.large_binary()).to_numpy()
        else:
            parts[part][column] = values.to_numpy()
    return EventLog(**parts)
