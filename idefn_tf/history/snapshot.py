"""Snapshot: what was known of every key as of one moment, to be looked up by key when serving.

It holds the numbers that `attach` would give a row of that moment, by key, and the last events of
each sequence with their times. Keys that are not in it have the empty history. Windows stay as of
the snapshot; hours and gaps can be told as of a later moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from idefn_tf.data import event_streams
from idefn_tf.history import event_log, sequences
from idefn_tf.history.aggregates import Priors, aggregate_columns, check_priors
from idefn_tf.history.as_of import NEVER, next_refresh, units
from idefn_tf.history.attach import Rows, columns
from idefn_tf.history.event_log import EventLog
from idefn_tf.history.sorted_stream import is_missing
from idefn_tf.schema import BehaviourSequence, HistoryAggregate, Schema


@dataclass(frozen=True)
class KeyedNumbers:
    """The aggregates of one key, or pair of keys.

    Attributes:
        keys: the features of the key.
        values: what each of them holds, [n], int64 or bytes.
        names: of the columns.
        matrix: float32 [n + 1, columns]; the last line is the empty history.
    """

    keys: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    matrix: np.ndarray


@dataclass(frozen=True)
class KeyedEvents:
    """The last events of one sequence.

    Attributes:
        keys: the feature of the key.
        values: what it holds, [n], int64 or bytes.
        offsets: where each key's events begin, int64 [n + 1].
        parts: by column, the events of all keys, oldest first, [offsets[-1]].
        length: how many events a key has at most.
        times: from when each event is known, int64 [offsets[-1]]; None without gaps.
    """

    keys: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    offsets: np.ndarray
    parts: Mapping[str, np.ndarray]
    length: int
    times: np.ndarray | None = None


@dataclass(frozen=True)
class Snapshot:
    """What was known of every key as of one moment.

    Attributes:
        as_of: the moment, in the schema's unit; later events and those of this very moment are not
            in it.
        numbers: the aggregates, by key.
        events: the sequences.
        users: how many users have history in it; None where history has no user.
        left_out: users whose history was left out.
    """

    as_of: int
    numbers: tuple[KeyedNumbers, ...]
    events: tuple[KeyedEvents, ...]
    users: int | None
    left_out: np.ndarray
    _log: EventLog = field(repr=False)
    _priors: Priors = field(repr=False)

    @property
    def nbytes(self) -> int:
        """How many bytes its tables take."""
        found: list[np.ndarray] = []
        for numbers in self.numbers:
            found += [*numbers.values, numbers.matrix]
        for events in self.events:
            found += [*events.values, events.offsets, *events.parts.values()]
            found += [] if events.times is None else [events.times]
        return sum(_size(values) for values in found)

    def columns(self, schema: Schema, keys: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Returns what rows with these keys are told, computed from the events without a table.

        Args:
            schema: of the snapshot.
            keys: what its keys read, by feature, [n].
        """
        known = dict(keys)
        user = schema.user_key
        if user is not None and len(self.left_out):
            missing: Any = -1 if known[user].dtype.kind == "i" else b""
            known[user] = np.where(np.isin(known[user], self.left_out), missing, known[user])
        moments = np.full(len(next(iter(known.values()))), self.as_of, np.int64)
        return columns(schema, self._log, Rows(known, moments, moments), self._priors)

    def describe(self, schema: Schema) -> dict[str, Any]:
        """Returns what a model card says of it."""
        return {
            "as_of": shown(self.as_of, schema),
            "bytes": self.nbytes,
            "keys": {
                **{"_x_".join(t.keys): len(t.values[0]) for t in self.numbers},
                **{f"{s.name} ({s.key})": len(t.values[0])
                   for s, t in zip(schema.sequences, self.events, strict=True)},
            },
            "users": self.users,
            "users_left_out": len(self.left_out),
        }  # fmt: skip


def shown(moment: int, schema: Schema) -> str:
    """Writes a moment of the schema's unit for readers, in UTC."""
    return datetime.fromtimestamp(moment / units(schema.labels), UTC).isoformat()


def newest(log: EventLog) -> int:
    """Returns the moment after a log's newest exposure.

    Raises:
        ValueError: if the log holds no event.
    """
    times = np.concatenate([log.known["exposure"], log.known["click"], log.known["conversion"]])
    shown_at = log.known["exposure"]
    there = shown_at[shown_at != NEVER]
    there = there if len(there) else times[times != NEVER]
    if not len(there):
        raise ValueError("events: must hold exposures, received none;\ngive earlier exposures")
    return int(there.max()) + 1


def take_snapshot(
    schema: Schema,
    log: EventLog,
    priors: Priors,
    *,
    moment: int | None = None,
    users: np.ndarray | None = None,
    min_events: int = 0,
) -> Snapshot:
    """Looks back from one moment, for every key.

    Args:
        schema: with history, sequences or both.
        log: all events.
        priors: to which rates are drawn, those of training.
        moment: which, in the schema's unit; by default the first after the newest exposure of which
            features are computed (`history.refresh`).
        users: ids of `user_key` whose history may be in it; by default all.
        min_events: past exposures that a user needs to be in it.

    Raises:
        ValueError: if the schema asks for no history, a key is absent when serving, users are to be
            left out of a history that has none, or priors are no shares.
    """
    if not schema.generated:
        raise ValueError(
            "schema: must have history or sequences to take a snapshot of, received neither;\n"
            "export without it"
        )
    check_priors(priors)
    for name in event_log.read_features(schema):
        if schema.feature(name).train_only and name in _key_names(schema):
            raise ValueError(
                f"{name}: must be in requests, for history is looked up by it, received a feature "
                "that is train_only;\nsend history with requests in place of a snapshot"
            )
    moment = next_refresh(schema, newest(log)) if moment is None else moment
    past = log.take(_first_known(log) < moment)
    kept, left_out = _users(schema, past, moment, users, min_events)
    groups: dict[tuple[str, ...], list[HistoryAggregate]] = {}
    for aggregate in schema.past.aggregates:
        groups.setdefault(aggregate.keys, []).append(aggregate)
    numbers = tuple(
        _numbers(schema, past, _distinct(schema, past, keys, left_out), keys, of, moment, priors)
        for keys, of in groups.items()
    )
    lists = tuple(
        _events(schema, past, _distinct(schema, past, (s.key,), left_out), s, moment)
        for s in schema.sequences
    )
    return Snapshot(moment, numbers, lists, kept, left_out, log, priors)


def _key_names(schema: Schema) -> set[str]:
    return {n for a in schema.past.aggregates for n in a.keys} | {s.key for s in schema.sequences}


def _first_known(log: EventLog) -> np.ndarray:
    found: np.ndarray = np.minimum.reduce([*log.known.values(), *log.final.values()])
    return found


def _users(
    schema: Schema, past: EventLog, moment: int, users: np.ndarray | None, least: int
) -> tuple[int | None, np.ndarray]:
    """Returns how many users stay, and the ids of those who are left out."""
    name = schema.user_key
    if name is None or name not in _key_names(schema):
        if users is not None or least:
            raise ValueError(
                f"user_key: must be a key of history for users to be left out, received {name!r};\n"
                "take the snapshot without --history-keys and --min-events"
            )
        return None, np.empty(0, object)
    ids = past.features[name]
    counted = pd.Series(past.known["exposure"] < moment).groupby(ids).sum()
    known = counted.index.to_numpy()
    out = counted.to_numpy() < least
    if users is not None:
        out |= ~np.isin(known, users)
    there = ~is_missing(known.astype(ids.dtype))
    return int((there & ~out).sum()), known[there & out].astype(ids.dtype)


def _distinct(
    schema: Schema, past: EventLog, keys: tuple[str, ...], left_out: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Returns the keys with events, each once."""
    values = [past.features[name] for name in keys]
    there = np.ones(len(past), bool)
    for name, found in zip(keys, values, strict=True):
        there &= ~is_missing(found)
        if name == schema.user_key and len(left_out):
            there &= ~np.isin(found, left_out)
    frame = pd.DataFrame({i: found[there] for i, found in enumerate(values)}).drop_duplicates()
    return tuple(frame[i].to_numpy(values[i].dtype) for i in range(len(values)))


def _numbers(
    schema: Schema,
    past: EventLog,
    values: tuple[np.ndarray, ...],
    keys: tuple[str, ...],
    aggregates: list[HistoryAggregate],
    moment: int,
    priors: Priors,
) -> KeyedNumbers:
    history = schema.past.model_copy(update={"aggregates": tuple(aggregates)})
    some = schema.model_copy(update={"history": history})
    absent = [np.array([-1 if v.dtype.kind == "i" else b""], v.dtype) for v in values]
    asked = {k: np.concatenate(pair) for k, *pair in zip(keys, values, absent, strict=True)}
    moments = np.full(len(values[0]) + 1, moment, np.int64)
    made = dict(aggregate_columns(some, past, asked, moments, priors))
    return KeyedNumbers(keys, values, tuple(made), np.stack([*made.values()], axis=1))


def _events(
    schema: Schema,
    past: EventLog,
    values: tuple[np.ndarray, ...],
    sequence: BehaviourSequence,
    moment: int,
) -> KeyedEvents:
    moments = np.full(len(values[0]), moment, np.int64)
    found = sequences.places(sequence, past, {sequence.key: values[0]}, moments)
    made = sequences.lists(schema, sequence, found, moments)
    offsets = np.asarray(next(iter(made.values())).offsets)
    some = np.diff(offsets) > 0  # a key without events is as good as an unknown one
    starts = np.concatenate([offsets[:-1][some], offsets[-1:]])
    parts, times = dict(_flat(made)), None
    if sequence.gap_hours:
        times = found.times[event_streams.newest(found.start, found.end, sequence.length)[0]]
    return KeyedEvents((sequence.key,), (values[0][some],), starts, parts, sequence.length, times)


def _flat(lists: Mapping[str, pa.LargeListArray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, listed in lists.items():
        values = listed.flatten()
        if pa.types.is_large_string(values.type):
            values = values.cast(pa.large_binary())
        yield name, values.to_numpy(zero_copy_only=False)


def _size(values: np.ndarray) -> int:
    if values.dtype.kind == "O":  # text: its bytes, and eight for where it lies
        return sum(len(value) + 8 for value in values)
    return values.nbytes
