"""History in preparation: columns that look back, the streams they point into, the events kept.

Aggregates and places are computed by `idefn_tf.history`, the same on every engine, from columns
that the engine hands over; they are put beside the rows as those are written.

::

    OUT/streams/<sequence>.arrow       each sequence's events by key and time, once
    OUT/events.parquet                 all events, for later days and for exports
    OUT/vocabularies/_history.json     the priors of rates, learned on train
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from idefn_tf._files import write_json
from idefn_tf.data import event_streams
from idefn_tf.history import event_log, kept_history, sequences
from idefn_tf.history.aggregates import aggregate_columns
from idefn_tf.history.as_of import as_of, units
from idefn_tf.history.attach import Rows
from idefn_tf.history.event_log import EventLog
from idefn_tf.history.kept_history import EVENTS, PRIORS
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.preparation import encode, list_counts
from pipelines.preparation.engine import Engine
from pipelines.preparation.history_card import describe
from pipelines.preparation.list_counts import ListCounts
from pipelines.preparation.wide_joins import Side, widened

_BATCH_ROWS = 262_144


@dataclass(frozen=True)
class Added:
    """Columns that stand beside prepared rows, found by row_id.

    Attributes:
        row_ids: rising, int64 [n].
        columns: by name, [n].
        marks: what readers need to know of the sequences.
    """

    row_ids: np.ndarray
    columns: Mapping[str, np.ndarray]
    marks: Sequence[Mapping[str, Any]]

    def form(self, features: pa.Schema) -> pa.Schema:
        """Returns the form of the written rows."""
        for name, values in self.columns.items():
            features = features.append(pa.field(name, pa.from_numpy_dtype(values.dtype)))
        return (
            features.with_metadata(event_streams.metadata(self.marks)) if self.marks else features
        )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns a batch with the columns beside its rows."""
        at = np.searchsorted(self.row_ids, batch.column("row_id").to_numpy())
        further = (pa.array(values[at], from_pandas=True) for values in self.columns.values())
        arrays = [*batch.columns, *further]
        return pa.RecordBatch.from_arrays(arrays, [*batch.schema.names, *self.columns])


@dataclass(frozen=True)
class Past:
    """What looking back gave.

    Attributes:
        added: the columns to write beside the rows.
        events: all events.
        streams: the events of each sequence, by its name.
        priors: of rates.
        card: what the data card says.
        lists: the values in the rows' sequences, by list feature.
    """

    added: Added
    events: EventLog
    streams: Mapping[str, pa.Table]
    priors: Mapping[str, float]
    card: Mapping[str, Any]
    lists: Mapping[str, ListCounts]

    def write(self, root: Path) -> None:
        """Writes streams and events into the folder under construction."""
        event_log.write(self.events, root / EVENTS)
        if self.streams:
            (root / event_streams.FOLDER).mkdir()
        for name, stream in self.streams.items():
            path = root / event_streams.FOLDER / f"{name}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, stream.schema) as writer:
                writer.write_table(stream)

    def write_priors(self, vocabularies: Path) -> None:
        """Writes the priors beside the vocabularies, where they are not there yet."""
        if not (vocabularies / PRIORS).is_file():
            write_json(vocabularies / PRIORS, {"priors": dict(self.priors)})


def read_priors(vocabularies: Path | None) -> dict[str, float] | None:
    """Returns the priors learned earlier, None where there are none."""
    if vocabularies is None or not (vocabularies / PRIORS).is_file():
        return None
    return kept_history.read_priors(vocabularies)


def look_back(
    engine: Engine,
    table: ir.Table,
    rows: ir.Table,
    sides: Sequence[Side],
    schema: Schema,
    earlier: Sequence[EventLog],
    priors: Mapping[str, float] | None,
) -> Past | None:
    """Computes what the schema's `history` and `sequences` ask for.

    Args:
        engine: hands over the columns.
        table: every exposure, the events.
        rows: the exposures that are written, with `part`.
        sides: tables with further raw columns.
        schema: says what is asked for.
        earlier: events that come before the log.
        priors: learned earlier; by default the shares among the rows of train.

    Raises:
        ValueError: if a key or an item is in a table joined late, or nothing is left to train on.
    """
    if not schema.generated:
        return None
    listed = _handed_over(engine, table, sides, schema)
    keys = event_log.key_arrays(schema, listed)
    own = event_log.from_table(schema, listed, features=keys)
    looking, happened = Rows.of(schema, listed, keys), event_log.outcomes(schema, listed)
    row_ids, parts = _placed(engine, rows)
    at = np.searchsorted(listed.column("row_id").to_numpy(), row_ids)
    looking = looking.take(at)
    del listed, keys
    logs = [*earlier, *([own] if schema.past.log_rows else [])]
    if not logs:
        raise ValueError(
            "--events: must name earlier events, for history.log_rows is false, received none"
        )
    events = event_log.joined(logs)
    del own, logs
    if priors is None:
        train = at[parts == "train"] if "train" in parts else at
        priors = {event: float(np.mean(found[train])) for event, found in happened.items()}
    columns: dict[str, np.ndarray] = dict(
        aggregate_columns(schema, events, looking.keys, looking.moments, priors)
    )
    streams, places, lists = {}, {}, dict[str, ListCounts]()
    for sequence in schema.sequences:
        found = sequences.places(sequence, events, looking.keys, looking.moments)
        items = {name: event_log.as_arrow(values) for name, values in found.items.items()}
        streams[sequence.name] = pa.table({event_streams.TIME: found.times, **items})
        places[sequence.name] = found
        lists |= list_counts.count(sequence, found, streams[sequence.name], parts)
        columns[event_streams.START.format(sequence.name)] = found.start
        columns[event_streams.END.format(sequence.name)] = found.end
    if any(sequence.gap_hours for sequence in schema.sequences):
        columns[event_streams.AS_OF] = looking.moments
    marks = [sequences.described(sequence, schema.labels) for sequence in schema.sequences]
    card = describe(schema, events, looking, parts, places)
    return Past(Added(row_ids, columns, marks), events, streams, priors, card, lists)


def after_burn_in(rows: ir.Table, schema: Schema, console: Console) -> ir.Table:
    """Leaves out the training rows of the log's first days, which feed history alone.

    Args:
        rows: with `part`.
        schema: says how many days.
        console: takes how many rows they are.

    Raises:
        ValueError: if no training row is left.
    """
    history, time = schema.history, schema.labels.exposure_time
    if history is None or not history.burn_in_days or not history.log_rows or time is None:
        return rows
    first = int(rows[time].min().execute())
    daily = history.model_copy(update={"refresh": "daily"})
    day = 86_400 * units(schema.labels)
    begin = int(as_of(np.array([first]), daily, schema.labels)[0]) + history.burn_in_days * day
    kept = rows.filter((rows["part"] != "train") | (rows[time] >= begin))
    of_train = rows.filter(rows["part"] == "train")
    left = int(of_train.filter(of_train[time] >= begin).count().execute())
    out = int(of_train.count().execute()) - left
    if out:
        days = history.burn_in_days
        console.note(
            f"{out:,} training rows of the log's first {days} days feed history alone and are not "
            "trained on (history.burn_in_days)"
        )
    if not left:
        raise ValueError(
            f"history.burn_in_days: must leave training rows, received {history.burn_in_days}, "
            "which takes all of them;\ngive fewer days, or earlier events (--events) and 0"
        )
    return kept


def from_table(schema: Schema, table: pa.Table) -> EventLog:
    """Reads events of a table with the schema's raw columns."""
    return event_log.from_table(schema, table, schema.past.columns)


def _placed(engine: Engine, rows: ir.Table) -> tuple[np.ndarray, np.ndarray]:
    """Returns row_id and part of the rows that are written, in the order of row_id."""
    asked = rows.select(row_id=rows["row_id"].cast("int64"), part=rows["part"]).order_by("row_id")
    batches = list(engine.batches(asked, _BATCH_ROWS))
    table = pa.Table.from_batches(batches, asked.schema().to_pyarrow())
    coded = table.column("part").combine_chunks().dictionary_encode()
    names = np.array(coded.dictionary.to_pylist(), object)
    return table.column("row_id").to_numpy(), names[coded.indices.to_numpy()]


def _handed_over(
    engine: Engine,
    table: ir.Table,
    sides: Sequence[Side],
    schema: Schema,
) -> pa.Table:
    """Returns what history reads of exposures, in the order of row_id."""
    features = [schema.feature(name) for name in event_log.read_features(schema)]
    if any(feature.source not in table.columns for feature in features):
        table = widened(table, sides)
    columns: dict[str, ir.Value] = {"row_id": table["row_id"].cast("int64")}
    for feature in features:
        columns |= encode.feature_columns(table, feature, schema.missing_words)
    labels = schema.labels
    times = (labels.exposure_time, labels.click_time, labels.conversion_time)
    for name in (labels.click, labels.conversion, *filter(None, times)):
        columns[name] = table[name].cast("int64")
    for name in event_log.read_values(schema):
        columns[name] = table[name].cast("float64")
    asked = table.select(**columns).order_by("row_id")
    batches = list(engine.batches(asked, _BATCH_ROWS))
    return pa.Table.from_batches(batches, asked.schema().to_pyarrow())
