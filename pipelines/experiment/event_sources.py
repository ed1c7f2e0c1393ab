"""Earlier exposures of a run: read from prepared folders and files, joined to rows."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from idefn_tf.data import read_table
from idefn_tf.history import event_log, kept_history
from idefn_tf.history.attach import Rows, columns
from idefn_tf.history.event_log import EventLog
from idefn_tf.schema import Schema
from pipelines.experiment.run_folder import Run
from pipelines.preparation.history import from_table
from pipelines.preparation.prepared_folder import Prepared


def read_logs(schema: Schema, places: Sequence[str]) -> list[EventLog]:
    """Reads the events of prepared folders, and of files with the schema's raw columns.

    Raises:
        ValueError: if a place holds no events, or lacks a column.
    """
    return [
        kept_history.read_events(place, schema, "--events")
        if Prepared.is_at(place)
        else from_table(schema, read_table(place, schema))
        for place in places
    ]


def with_history(run: Run, table: pa.Table, places: Sequence[str]) -> pa.Table:
    """Adds to a table what the run's history asks for, as of each row's time.

    The rows themselves are events too, unless `history.log_rows` is false.

    Raises:
        ValueError: if the table holds history already, or the run has none.
    """
    schema = run.schema()
    held = sorted(schema.generated & set(table.column_names))
    if held or not schema.generated:
        why = f"{held[0]!r} in them" if held else "a run without history"
        raise ValueError(
            f"--events: must stand beside rows whose history is not there yet, received {why};\n"
            "leave it out"
        )
    logs = read_logs(schema, places)
    if schema.past.log_rows:
        logs.append(event_log.from_table(schema, table))
    priors = kept_history.read_priors(run.vocabularies)
    made = columns(schema, event_log.joined(logs), Rows.of(schema, table), priors)
    for name, values in made.items():
        table = table.append_column(name, values)
    return table
