"""Event streams of prepared rows: stored once, sliced where rows are read.

A prepared row holds two places in the stream of each sequence: where its key's events begin, and
where those end that it may see. Reading turns them into lists, the newest `length` events, oldest
first. What is needed for that stands in the Parquet files' own metadata.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data import object_store

#: The entry of a file's metadata.
MARK = b"idefn_tf.sequences"
#: The folder of streams, beside the folder of a part.
FOLDER = "streams"
START, END, AS_OF = "{}__start", "{}__end", "history_as_of"
#: The stream's column of times.
TIME = "time"


def description(
    name: str, items: Sequence[str], length: int, gap_bounds: Sequence[float]
) -> dict[str, Any]:
    """Returns what a prepared file says of one sequence.

    Args:
        name: of the sequence.
        items: its item features.
        length: how many events at most.
        gap_bounds: rising bounds of its gap buckets in units of time; none without gaps.
    """
    return {"name": name, "items": [*items], "length": length, "gap_bounds": [*gap_bounds]}


def metadata(sequences: Sequence[Mapping[str, Any]]) -> dict[bytes, bytes]:
    """Returns the entry for a file's metadata."""
    return {MARK: json.dumps([*sequences]).encode()}


def newest(start: np.ndarray, end: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of every row's newest events, row by row, and where each row's begin.

    Args:
        start: the first event of the row's key, [n].
        end: after the last event that the row may see, [n].
        length: K, how many at most.

    Returns:
        places int64 [total] in the stream, and offsets int64 [n + 1] into them.
    """
    first = first_listed(start, end, length)
    counts = end - first
    offsets = np.concatenate([[0], np.cumsum(counts)])
    places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], counts)
    return places, offsets


def first_listed(start: np.ndarray, end: np.ndarray, length: int) -> np.ndarray:
    """Returns where each row's newest `length` events begin, [n]; arguments as in `newest`."""
    return np.maximum(start, end - length)


def asked(names: Sequence[str] | None, marks: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Returns the columns of a file that give the columns asked for."""
    if names is None or not marks:
        return None if names is None else list(names)
    found = [name for name in names if not any(name in _made(mark) for mark in marks)]
    for mark in marks:
        if any(name in _made(mark) for name in names):
            found += [START.format(mark["name"]), END.format(mark["name"])]
            found += [AS_OF] if mark["gap_bounds"] else []
    return list(dict.fromkeys(found))


def marks_of(schema: pa.Schema) -> list[dict[str, Any]]:
    """Returns what a file says of its sequences; nothing where it has none."""
    found = (schema.metadata or {}).get(MARK)
    return [] if found is None else json.loads(found)


def with_lists(
    table: pa.Table,
    file: str,
    marks: Sequence[Mapping[str, Any]],
    names: Sequence[str] | None = None,
) -> pa.Table:
    """Returns rows with lists of events in place of their places in the stream.

    Args:
        table: rows of one prepared file.
        file: its path or address, beside whose folder the streams lie.
        marks: what `marks_of` gives.
        names: the columns asked for; by default all.

    Raises:
        ValueError: if a stream is not there, is damaged, or belongs to other rows.
    """
    for mark in marks:
        if START.format(mark["name"]) in table.column_names:
            table = _with_lists(table, file, mark)
    if names is not None:
        return table.select(list(names))
    return table.drop_columns([AS_OF]) if AS_OF in table.column_names else table


def _made(mark: Mapping[str, Any]) -> list[str]:
    parts = [*mark["items"], *(["gap"] if mark["gap_bounds"] else [])]
    return [f"{mark['name']}__{part}" for part in parts]


def _with_lists(table: pa.Table, file: str, mark: Mapping[str, Any]) -> pa.Table:
    names = START.format(mark["name"]), END.format(mark["name"])
    start, end = (table.column(name).to_numpy() for name in names)
    path = _beside(file, mark["name"])
    stream = _stream(path, _stamp(path))
    for column in [*mark["items"], *([TIME] if mark["gap_bounds"] else [])]:
        if column not in stream.column_names:
            raise ValueError(
                f"{path}: must hold the column {column!r}, received {stream.column_names};\nit "
                "belongs to other rows, prepare the data anew"
            )
    if len(end) and end.max() > stream.num_rows:
        raise ValueError(
            f"{path}: must hold {int(end.max())} events, received {stream.num_rows};\nit belongs "
            "to other rows, prepare the data anew"
        )
    items = {item: stream.column(item).combine_chunks() for item in mark["items"]}
    gaps = bool(mark["gap_bounds"])
    times = stream.column(TIME).to_numpy() if gaps else None
    moments = table.column(AS_OF).to_numpy() if gaps else None
    for made, values in lists(mark, items, times, start, end, moments).items():
        table = table.append_column(made, values)
    return table.drop_columns(list(names))


def lists(
    mark: Mapping[str, Any],
    items: Mapping[str, pa.Array],
    times: np.ndarray | None,
    start: np.ndarray,
    end: np.ndarray,
    moments: np.ndarray | None,
) -> dict[str, pa.LargeListArray]:
    """Returns the lists of a sequence by column: the newest events of each row, oldest first.

    Args:
        mark: what `description` gives.
        items: of the stream's events, by feature.
        times: from when each event is known, where there are gaps.
        start: the first event of the row's key, [n].
        end: after the last event that the row may see, [n].
        moments: the rows' as-of, where there are gaps.
    """
    places, offsets = newest(start, end, mark["length"])
    starts, at = pa.array(offsets, pa.int64()), pa.array(places)
    made = {f"{mark['name']}__{item}": values.take(at) for item, values in items.items()}
    if times is not None and moments is not None:
        elapsed = np.repeat(moments, np.diff(offsets)) - times[places]
        buckets = np.searchsorted(mark["gap_bounds"], elapsed, side="right")
        made[f"{mark['name']}__gap"] = pa.array(buckets.astype(np.int64))
    return {name: pa.LargeListArray.from_arrays(starts, v) for name, v in made.items()}


def _beside(file: str, name: str) -> str:
    part = file.rpartition("/")[0]
    return f"{part.rpartition('/')[0] or '.'}/{FOLDER}/{name}.arrow"


def _stamp(path: str) -> tuple[int, int]:
    """Changes when a local file does."""
    if object_store.is_remote(path):
        return 0, 0
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: must be there, for the rows beside it point into it, received no such file;\n"
            "read rows where they were prepared, with the folder streams, or prepare them anew"
        ) from None
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=16)
def _stream(path: str, stamp: tuple[int, int]) -> pa.Table:
    """Reads a stream once in a process; a local one is mapped, not copied."""
    with object_store.explained(path):
        if object_store.is_remote(path):
            return pa.ipc.open_file(object_store.opened(path)).read_all()
        try:
            return pa.ipc.open_file(pa.memory_map(path)).read_all()
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{path}: must be a whole Arrow file, received {stamp[1]} bytes that are none "
                f"({error});\ncopy it again, or prepare the data anew"
            ) from None
