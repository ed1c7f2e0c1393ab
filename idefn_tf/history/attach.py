"""attach: history features and behaviour sequences of a table's rows, point in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from idefn_tf._registry import register
from idefn_tf.data import read_table
from idefn_tf.data.files import Source
from idefn_tf.data.time_columns import row_time, time_array
from idefn_tf.history import event_log, sequences
from idefn_tf.history.aggregates import Priors, aggregate_columns, check_priors, learn_priors
from idefn_tf.history.as_of import as_of, known_at
from idefn_tf.history.event_log import EventLog
from idefn_tf.schema import Schema


@dataclass(frozen=True)
class Rows:
    """The rows that look back.

    Attributes:
        keys: what keys read, by feature, [n].
        moments: the rows' as-of, int64 [n].
        times: the rows' own times, int64 [n]; 0 where one is missing, which sees nothing.
    """

    keys: Mapping[str, np.ndarray]
    moments: np.ndarray
    times: np.ndarray

    def take(self, at: np.ndarray) -> Rows:
        """Returns the rows that an index names."""
        keys = {name: values[at] for name, values in self.keys.items()}
        return Rows(keys, self.moments[at], self.times[at])

    @classmethod
    def of(
        cls, schema: Schema, table: pa.Table, keys: Mapping[str, np.ndarray] | None = None
    ) -> Rows:
        """Reads them from a table.

        Args:
            schema: names what is read.
            table: the rows.
            keys: what `event_log.key_arrays` gives, where it was asked before.

        Raises:
            ValueError: if a key or the time is missing, or cannot be read.
        """
        keys = event_log.key_arrays(schema, table) if keys is None else keys
        named = schema.labels.exposure_time
        if named is None:  # all of them come after the one stream without times
            times = np.full(table.num_rows, known_at(schema.history, schema.labels), np.int64)
            return cls(keys, times, times)
        column = row_time(schema, table.column_names)
        if column is None:
            raise ValueError(
                f"rows: must hold the column {named!r} (labels.exposure_time), as of which "
                f"history is told, received {sorted(table.column_names)};\nadd it"
            )
        times, missing = time_array(schema, table, column)
        times = np.where(missing, 0, times)
        return cls(keys, as_of(times, schema.history, schema.labels), times)


@register("function", public=False)
def attach(
    schema: Schema,
    rows: Source,
    events: Source | Sequence[Source] | None = None,
    *,
    priors: Priors | None = None,
) -> pd.DataFrame:
    """Adds what the schema's `history` and `sequences` ask for to a table: a point-in-time join.

    A row sees what was known before its moment, never itself, an event of its own time, or one
    that came later. Rows keep number and order.

    Args:
        schema: with `history`, `sequences` or both.
        rows: the exposures that look back.
        events: earlier exposures with their outcomes, or several tables of them; what overlaps
            counts once. The rows themselves are events too where they hold labels
            (`history.log_rows`).
        priors: share of exposures with "click" and "conversion", to which rates are drawn; take
            those of training rows for all others. By default the shares among these rows.

    Returns:
        The table, with a float32 column for each aggregate and one of lists for each part of a
        sequence, oldest event first. A DataFrame keeps its index and its columns as they are.

    Raises:
        ValueError: if the schema asks for nothing, a column is missing or cannot be read, or priors
            are no shares.

    Example:
        >>> import pandas as pd
        >>> from idefn_tf.history import attach
        >>> from idefn_tf.schema import Schema
        >>> past = {"aggregates": [{"key": "user", "events": ["click"], "measures": ["count"]}]}
        >>> schema_ = Schema.parse({"name": "shop", "features": [user], "history": past, "labels": {
        ...     "click": "is_click", "conversion": "bought", "exposure_time": "at"}})
        >>> log = pd.DataFrame({"user": [7, 7, 8, 7], "is_click": [1, 1, 1, 0], "bought": 0,
        ...                     "at": [10, 20, 30, 40]})
        >>> attach(schema_, log)["user__click_count__all"].tolist()
        [0.0, 1.0, 0.0, 2.0]
    """
    if not schema.generated:
        raise ValueError(
            "schema: must have history or sequences, received neither;\nadd them, or do without"
        )
    if priors is not None:
        check_priors(priors)
    table = read_table(rows, schema)
    looking = Rows.of(schema, table)
    log, own = event_logs(schema, table, events)
    if priors is None:
        priors = learn_priors(log if own is None else own)
    frame = rows if isinstance(rows, pd.DataFrame) else table.to_pandas()
    return with_columns(frame, columns(schema, log, looking, priors))


def event_logs(
    schema: Schema, table: pa.Table, events: Source | Sequence[Source] | None
) -> tuple[EventLog, EventLog | None]:
    """Returns all events, and those that are the table's own rows, where they are.

    Raises:
        ValueError: if there are none.
    """
    given = [] if events is None else _listed(events)
    renamed = schema.past.columns
    logs = [event_log.from_table(schema, read_table(s, schema), renamed) for s in given]
    own = None
    if schema.past.log_rows:
        try:
            schema.labels.resolve(table.column_names)
        except ValueError:
            if not logs:
                raise
        else:
            own = event_log.from_table(schema, table)
    if own is not None:
        logs.append(own)
    if not logs:
        raise ValueError(
            "events: must hold exposures, for history.log_rows is false, received None;\ngive "
            "earlier exposures with their outcomes"
        )
    return event_log.joined(logs), own


def _listed(events: Any) -> list[Any]:
    several = isinstance(events, (list, tuple)) and not all(isinstance(e, str) for e in events)
    return list(events) if several else [events]


def columns(schema: Schema, events: EventLog, rows: Rows, priors: Priors) -> dict[str, pa.Array]:
    """Returns every generated column by name: float32, or lists of the newest events.

    Raises:
        ValueError: if the events are of another schema and lack what this one looks at.
    """
    for name in event_log.read_features(schema):
        if name not in events.features:
            raise ValueError(
                f"events: must hold {name!r}, which history looks at, received "
                f"{sorted(events.features)};\nprepare the folder of events with the same schema"
            )
    numbers = aggregate_columns(schema, events, rows.keys, rows.moments, priors)
    made: dict[str, pa.Array] = {name: pa.array(values) for name, values in numbers.items()}
    for sequence in schema.sequences:
        places = sequences.places(sequence, events, rows.keys, rows.moments)
        made |= sequences.lists(schema, sequence, places, rows.moments)
    return made


def with_columns(frame: pd.DataFrame, made: Mapping[str, pa.Array]) -> pd.DataFrame:
    """Returns a DataFrame with further columns, its own index and columns as they are.

    Raises:
        ValueError: if it has one of them.
    """
    clash = sorted(set(made) & set(frame.columns))
    if clash:
        raise ValueError(
            f"rows: must not hold {clash[0]!r}, which history makes, received such a column;\n"
            "remove it, or give the rows as they are to open_dataset"
        )
    added = {
        name: values.to_pylist() if isinstance(values, pa.LargeListArray) else np.asarray(values)
        for name, values in made.items()
    }
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)
