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
from idefn_tf.history.as_of import NEVER
from idefn_tf.history.outcome_times import in_window, outcome_times
from idefn_tf.schema import Schema
from idefn_tf.schema.history import Event

#: What a rate can be of.
RATED: tuple[Event, ...] = ("click", "conversion")
#: The columns of a log, by what they say.
PARTS = ("features", "known", "final", "happened", "values")


@dataclass(frozen=True)
class EventLog:
    """Past exposures, one a row, in the order in which equal times follow each other.

    Rows are sorted by time, then by the features that history reads, so that the order of the
    input does not count; those of a stream without times stay in the stream's order.

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


def until(log: EventLog, moment: int) -> EventLog:
    """Returns what was known up to a moment: later events did not happen, later rows are not there.

    Args:
        log: the events.
        moment: in the schema's unit.
    """
    some = log.take(log.known["exposure"] <= moment)
    known = {name: np.where(times <= moment, times, NEVER) for name, times in some.known.items()}
    happened = {name: seen & (known[name] != NEVER) for name, seen in some.happened.items()}
    return replace(some, known=known, happened=happened)


def read_features(schema: Schema) -> tuple[str, ...]:
    """Returns the recorded features that keys and items of a schema name, each once."""
    names = [name for aggregate in schema.past.aggregates for name in aggregate.keys]
    for sequence in schema.sequences:
        names += [sequence.key, *sequence.items]
    return tuple(dict.fromkeys(names))


def read_values(schema: Schema) -> tuple[str, ...]:
    """Returns the columns that sums add up, each once."""
    return tuple(dict.fromkeys(a.value for a in schema.past.aggregates if a.value is not None))


def key_arrays(schema: Schema, table: pa.Table) -> dict[str, np.ndarray]:
    """Returns the features that history reads, by what a cell means (`schema.cells`)."""
    names = set(read_features(schema))
    features = tuple(feature for feature in schema.recorded if feature.name in names)
    some = schema.model_copy(update={"features": features, "history": None, "sequences": ()})
    found = to_arrays(some, table, labels=False)
    for name, values in found.items():
        if values.dtype.kind == "O":  # one object for each text, not for each row
            places, texts = pd.factorize(values)
            found[name] = np.asarray(texts, object)[places] if len(texts) else values
    return found


def outcomes(
    schema: Schema, table: pa.Table, renamed: Mapping[Event, str] | None = None
) -> dict[str, np.ndarray]:
    """Returns whether each row was clicked and whether it converted, as history counts it.

    Args:
        schema: names the labels; `history.conversion` says whose conversions count.
        table: the exposures.
        renamed: as in `from_table`.

    Raises:
        ValueError: if a column is missing.
    """
    columns, labels = dict(renamed or {}), schema.labels
    click = _flag(schema, table, columns.get("click"), (labels.click, "click"))
    conversion = _flag(schema, table, columns.get("conversion"), (labels.conversion, "conversion"))
    hides = schema.past.conversion == "after_click"
    if hides and "click" not in columns:  # what stands for a click says not who was no click
        conversion &= click
    conversion &= in_window(schema, table, click)
    return {"click": click, "conversion": conversion}


def from_table(
    schema: Schema,
    table: pa.Table,
    renamed: Mapping[Event, str] | None = None,
    features: dict[str, np.ndarray] | None = None,
) -> EventLog:
    """Reads exposures with their outcomes as events.

    From when each is known: `outcome_times`.

    Args:
        schema: names columns and keys.
        table: the exposures.
        renamed: columns that stand for events in place of the labels' (`history.columns`).
        features: what `key_arrays` gives, where it was asked before.

    Raises:
        ValueError: if a column is missing, or a time cannot be read.
    """
    columns = dict(renamed or {})
    for name in read_features(schema):
        if {name, schema.feature(name).source}.isdisjoint(table.column_names):
            raise ValueError(
                f"events: must hold the column {schema.feature(name).source!r}, which history "
                f"looks at, received {sorted(table.column_names)};\nadd it"
            )
    features = key_arrays(schema, table) if features is None else features
    happened = outcomes(schema, table, renamed)
    exposed = np.ones(table.num_rows, bool)
    if "exposure" in columns:
        exposed = _flag(schema, table, columns["exposure"], ())
    click, conversion = happened["click"], happened["conversion"]
    known, final, missing = outcome_times(schema, table, exposed, click, conversion)
    values = {name: _values(schema, table, name) for name in read_values(schema)}
    log = EventLog(features, known, final, happened, values, int(missing.sum()))
    log = log.take(~missing) if missing.any() else log
    timed = schema.labels.exposure_time in table.column_names
    return _in_order(log) if timed else log  # without times the order of rows is all there is


def _in_order(log: EventLog) -> EventLog:
    """Sorts by time and, where times are equal, by what the rows hold: no file's order counts."""
    times = log.known["exposure"]
    order = np.argsort(times, kind="stable")
    equal = np.diff(times[order]) == 0
    tied = np.append(equal, False) | np.insert(equal, 0, False)
    if len(order) and tied.any():
        some = order[tied]
        ranks = [pd.factorize(values[some], sort=True)[0] for values in log.features.values()]
        order[tied] = some[np.lexsort([*ranks, times[some]])]
    return log if (order == np.arange(len(order))).all() else log.take(order)


def joined(logs: Iterable[EventLog]) -> EventLog:
    """Returns several logs as one; exposures that an earlier log holds too count once.

    Two rows are the same exposure if the features that history reads and all times are equal. Where
    a log holds several such rows, the joined one holds as many as the log with the most.

    Raises:
        ValueError: if a log lacks what another holds.
    """
    listed = list(logs)
    if len(listed) == 1:
        return listed[0]
    for part in PARTS:
        for name in {name for log in listed for name in getattr(log, part)}:
            if not all(name in getattr(log, part) for log in listed):
                raise ValueError(
                    f"events: must all hold {name!r}, which history looks at, received events "
                    "without;\nprepare the earlier folder with the same schema"
                )
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
    """Returns a hash of each row, uint64; equal rows of one log differ by their number."""
    whole = {**log.features, **{f"known {k}": v for k, v in log.known.items()}}
    rows = np.asarray(pd.util.hash_pandas_object(pd.DataFrame(whole), index=False))
    number = pd.Series(rows).groupby(rows).cumcount().to_numpy()
    again = pd.util.hash_pandas_object(pd.DataFrame({"row": rows, "number": number}), index=False)
    return np.where(number == 0, rows, np.asarray(again))


def _values(schema: Schema, table: pa.Table, name: str) -> np.ndarray:
    """Returns what a sum adds up, 0 where a cell is missing."""
    if name not in table.column_names:
        raise ValueError(
            f"events: must hold the column {name!r}, received {sorted(table.column_names)};\n"
            "add it, or leave sum out of history.aggregates"
        )
    found = convert(column_values(table, name), name, "float32", 0.0, schema.missing_words)
    return found.astype(np.float64)


def _flag(schema: Schema, table: pa.Table, column: str | None, names: Sequence[str]) -> np.ndarray:
    asked = (column,) if column is not None else names
    for name in asked:
        if name in table.column_names:
            return label_values(schema, table, name) == 1
    raise ValueError(
        f"events: must hold the column {asked[0]!r}, received {sorted(table.column_names)};\n"
        "add it, or name what stands for it in history.columns"
    )


def as_arrow(values: np.ndarray) -> pa.Array:
    """Returns numbers as Arrow as they are, and objects of bytes as text."""
    if values.dtype.kind != "O":
        return pa.array(values)
    return pa.array(values, pa.large_binary()).cast(pa.large_string())


def write(log: EventLog, path: str | Path) -> None:
    """Writes a log as Parquet; `read` gives an equal one."""
    columns: dict[str, Any] = {}
    for part in PARTS:
        for name, values in getattr(log, part).items():
            columns[f"{part}:{name}"] = as_arrow(values)
    table = pa.table(columns)
    with atomic_path(path) as hidden:
        pq.write_table(table, hidden, compression="zstd")


def read(path: str) -> EventLog:
    """Reads what `write` wrote, also from a bucket.

    Raises:
        ValueError: if the file cannot be read, or is no log.
    """
    with object_store.explained(path, "events"):
        table = pq.read_table(object_store.opened(path), partitioning=None)
    parts: dict[str, Any] = {part: {} for part in PARTS}
    for name in table.column_names:
        part, _, column = name.partition(":")
        if part not in parts:
            continue
        values = table.column(name)
        if pa.types.is_large_string(values.type):
            parts[part][column] = values.cast(pa.large_binary()).to_numpy()
        else:
            parts[part][column] = values.to_numpy()
    if not all(parts[part] for part in PARTS[:4]):
        raise ValueError(
            f"{path}: must be events that preparation wrote, received the columns "
            f"{table.column_names};\ngive the prepared folder, or files of exposures"
        )
    return EventLog(**parts)
