"""The snapshot of history that an export puts into a version: from which events, as of when."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf.history import event_log, kept_history
from idefn_tf.history.as_of import last_refresh, next_refresh, units
from idefn_tf.history.event_log import EventLog
from idefn_tf.history.snapshot import (
    Snapshot,
    newest,
    shown,
    take_snapshot,
)
from idefn_tf.schema import Schema
from pipelines.experiment.event_sources import read_logs
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

#: A snapshot may take so many bytes.
LARGEST = 2**30
_REFRESH_SECONDS = {"continuous": 0, "hourly": 3600, "daily": 86_400}


@dataclass(frozen=True)
class SnapshotOptions:
    """What goes into a snapshot.

    Attributes:
        events: prepared folders or files of exposures, beside the run's own data.
        keys: a file with the ids of the users whose history may be in it, one a line.
        min_events: past exposures that a user needs to be in it.
        as_of: its moment; by default the first refresh after the newest exposure, or the last one
            before it where that is still to come.
        allow_stale: whether it may be older than the run's features are when it is served.
    """

    events: Sequence[str] = ()
    keys: str | None = None
    min_events: int = 0
    as_of: str | None = None
    allow_stale: bool = False


def snapshot_of(
    run: Run, data: Prepared | None, options: SnapshotOptions, now: float | None = None
) -> tuple[Snapshot, dict[str, Any]]:
    """Takes the snapshot of a run's history.

    Args:
        run: the run.
        data: the prepared data that it was trained on, where they are at hand.
        options: what goes into it.
        now: seconds since 1970; by default the clock's.

    Returns:
        The snapshot, and what the model card says beside its own description.

    Raises:
        ValueError: if there are no events, it is older than the run's training days or than its
            refresh allows, or too large.
    """
    schema = run.schema()
    if not schema.generated:
        raise ValueError(
            f"--with-history: {run.root} must be a run with history or sequences in its schema, "
            "received neither;\nexport it without"
        )
    logs = [kept_history.read_events(data.place, schema)] if data is not None else []
    logs += read_logs(schema, options.events)
    if not logs:
        raise ValueError(
            f"--with-history: needs the events of {run.root}, whose data are no longer where they "
            "were;\ngive --data PREPARED_FOLDER, or --events"
        )
    now = time.time() if now is None else now
    log = event_log.joined(logs)
    snapshot = take_snapshot(
        schema,
        log,
        kept_history.read_priors(run.vocabularies),
        moment=_moment(options.as_of, schema, log, round(now * units(schema.labels))),
        users=_ids(options.keys, schema),
        min_events=options.min_events,
    )
    _check_training_days(run, schema, snapshot)
    age = _age(schema, snapshot, options, now)
    if snapshot.nbytes > LARGEST:
        raise ValueError(
            f"--with-history: the snapshot must take at most {LARGEST:,} bytes, received "
            f"{snapshot.nbytes:,};\nleave users out (--history-keys, --min-events), or send "
            "history with requests (python -m serving.client --history PREPARED_FOLDER)"
        )
    return snapshot, age


def _moment(text: str | None, schema: Schema, log: EventLog, now: int) -> int:
    """Returns the moment asked for, or the refresh after the newest exposure, or the one before."""
    if text is not None:
        return kept_history.read_moment("--as-of", text, schema.labels)
    end = newest(log)
    coming = next_refresh(schema, end)
    return coming if coming <= now else last_refresh(schema, end)


def _ids(path: str | None, schema: Schema) -> np.ndarray | None:
    """Reads the users of a file, one a line."""
    if path is None:
        return None
    text = Path(path).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip()]
    if schema.user_key is not None and schema.feature(schema.user_key).dtype == "string":
        return np.array([line.encode() for line in lines], object)
    try:
        return np.array([int(line) for line in lines], np.int64)
    except ValueError:
        wrong = next(i for i, line in enumerate(lines) if not re.fullmatch(r"\s*-?\d+\s*", line))
        raise ValueError(
            f"--history-keys: {path} must hold one whole number a line, received {lines[wrong]!r} "
            f"in line {wrong + 1};\nwrite ids of {schema.user_key} alone"
        ) from None


def _timeless(schema: Schema) -> bool:
    """Whether all events come from a stream without times, which never grows older."""
    return schema.past.known_at is not None and not schema.past.log_rows


def _check_training_days(run: Run, schema: Schema, snapshot: Snapshot) -> None:
    days = str(run.card().get("days", {}).get("train", ""))
    last = re.search(r"\d{4}-\d\d-\d\d$", days)
    if last is None or schema.past.known_at is not None:
        return
    begin = kept_history.read_moment("days", last.group(), schema.labels)
    if snapshot.as_of <= begin:
        raise ValueError(
            f"--with-history: the snapshot must not be older than the training days, received one "
            f"as of {shown(snapshot.as_of, schema)} for a run that was trained on {days};\ngive "
            "events of these days and later (--events), or a later --as-of"
        )


def _age(
    schema: Schema, snapshot: Snapshot, options: SnapshotOptions, now: float
) -> dict[str, Any]:
    """Returns age and refresh for the card."""
    refresh = schema.past.refresh
    if _timeless(schema):
        return {"refresh": "never: a stream without times"}
    seconds = now - snapshot.as_of / units(schema.labels)
    if seconds > _REFRESH_SECONDS[refresh] and not options.allow_stale:
        raise ValueError(
            f"--with-history: the snapshot must be as new as the run's features, whose refresh is "
            f"{refresh}, received one as of {shown(snapshot.as_of, schema)}, {seconds / 3600:.1f} "
            "hours old;\nprepare newer events, send history with requests (python -m "
            "serving.client --history), or give --allow-stale"
        )
    return {
        "refresh": refresh,
        "age_hours": round(seconds / 3600, 2),
        "stale": seconds > _REFRESH_SECONDS[refresh],
    }
