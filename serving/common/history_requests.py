"""History of requests, filled in from the events that a prepared folder keeps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from idefn_tf.data import read_table
from idefn_tf.data.time_columns import row_time
from idefn_tf.history import event_log, kept_history
from idefn_tf.history.as_of import as_of, units
from idefn_tf.history.attach import Rows as Looking
from idefn_tf.history.attach import columns as history_of
from idefn_tf.schema import Schema
from serving.common.request import Rows


class HistoryFill:
    """Computes the history of rows from a prepared folder's events, as training did.

    Args:
        schema: of the raw features.
        folder: a prepared folder; its events and the priors beside its vocabularies are read.
        at: the moment, a whole number in the schema's unit or a day or time in its zone; by
            default the clock's. `history.refresh` counts from it as it does in training.

    Raises:
        ValueError: if the schema has no history, the folder no events, or `at` is no moment.
    """

    def __init__(self, schema: Schema, folder: str | Path, at: str | None = None) -> None:
        if not schema.generated:
            raise ValueError(
                "history: must be asked of a schema with history or sequences, received one "
                "without;\nleave out the folder"
            )
        self._schema = schema
        self._events = kept_history.read_events(folder, schema)
        self._priors = kept_history.read_priors(Path(folder) / "vocabularies")
        self.at = None if at is None else kept_history.read_moment("at", at, schema.labels)

    def columns(self, table: pa.Table, own_times: bool = False) -> dict[str, list[Any]]:
        """Returns every generated feature of a table's rows, by name.

        Args:
            table: rows with the features that keys read.
            own_times: whether each row's own exposure time counts, where the table has it and `at`
                was not given.
        """
        schema = self._schema
        if own_times and self.at is None and row_time(schema, table.column_names) is not None:
            looking = Looking.of(schema, table)
        else:
            clock = int(time.time() * units(schema.labels))
            times = np.full(table.num_rows, clock if self.at is None else self.at, np.int64)
            moments = as_of(times, schema.history, schema.labels)
            looking = Looking(event_log.key_arrays(schema, table), moments, times)
        made = history_of(schema, self._events, looking, self._priors)
        return {
            name: values.to_pylist() if isinstance(values, pa.LargeListArray)
            else np.asarray(values).tolist()
            for name, values in made.items()
        }  # fmt: skip

    def __call__(self, rows: Rows) -> list[dict[str, Any]]:
        """Returns rows with their history; what they hold of it already is replaced."""
        frame: Any = rows
        if hasattr(rows, "columns") and hasattr(rows, "to_dict"):
            listed = frame.to_dict("records")
        else:
            listed = [dict(row) for row in ([rows] if isinstance(rows, Mapping) else rows)]
            frame = pd.DataFrame(listed, dtype=object)  # a null must not make floats of ids
        if not listed:
            return []
        names = set(event_log.read_features(self._schema))
        for name in sorted(names):
            if {name, self._schema.feature(name).source}.isdisjoint(frame.columns):
                raise ValueError(
                    f"rows: must hold {name!r}, by which history is looked up, received "
                    f"{sorted(map(str, frame.columns))};\nadd it, null where it is unknown"
                )
        sources = {f.source for f in self._schema.recorded if f.name in names} | names
        table = read_table(frame[[n for n in frame.columns if n in sources]], self._schema)
        made = self.columns(table)
        return [
            {**row, **{name: values[i] for name, values in made.items()}}
            for i, row in enumerate(listed)
        ]
