"""List columns as padded arrays: `idefn_tf.schema.lists` said in Arrow and NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.data.convert import convert
from idefn_tf.data.files import column_values
from idefn_tf.schema import Feature, cells
from idefn_tf.schema import lists as meaning


def read(
    feature: Feature,
    table: pa.Table,
    name: str,
    weights: str | None,
    words: Sequence[str] = (),
    first_row: int = 0,
) -> dict[str, np.ndarray]:
    """Reads a list feature, and its weights, from a table.

    Args:
        feature: what the list is.
        table: holds it.
        name: the column of the entries.
        weights: the column of their weights; None for a list without.
        words: the schema's `missing_words`.
        first_row: the number of the first row, for errors.

    Returns:
        By name, the entries [n, max_length], padded with -1 or "", and float32 weights, padded
        with 0.

    Raises:
        ValueError: if entries and weights differ in number, naming columns, row and both lists, or
            a value cannot be read.
    """
    lengths, flat, present = _entries(feature, table, name, words, first_row)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    of_weights: np.ndarray | None = None
    if weights is not None:
        twin = _listed(column_values(table, weights), weights, feature, first_row)
        _refuse(_lengths(twin) != lengths, meaning.unequal, table, (name, weights), first_row)
        of_weights = convert(twin.flatten(), weights, "float32", np.nan, words, rows + first_row)
        wrong = np.zeros(len(lengths), bool)
        wrong[rows[present & ~np.isfinite(of_weights)]] = True
        _refuse(wrong, meaning.unweighted, table, (name, weights), first_row)
    return _padded(feature, lengths, flat, present, of_weights)


def read_events(
    parts: Sequence[Feature], table: pa.Table, words: Sequence[str] = (), first_row: int = 0
) -> dict[str, np.ndarray]:
    """Reads the lists of a sequence, which stand side by side; the newest events are kept.

    Args:
        parts: what an event consists of.
        table: holds them by their names.
        words: the schema's `missing_words`.
        first_row: the number of the first row, for errors.

    Returns:
        As `read`. An event that lacks a part is left out whole.

    Raises:
        ValueError: if the lists of a row differ in length, or a value cannot be read.
    """
    found = [_entries(part, table, part.name, words, first_row) for part in parts]
    lengths, _, there = found[0]
    for part, (own, _, present) in zip(parts, found, strict=True):
        if (wrong := own != lengths).any():
            row = int(np.argmax(wrong))
            received = f"{own[row]} beside {lengths[row]} in row {first_row + row}"
            rule, cure = meaning.uneven((parts[0].name, part.name))
            raise ValueError(f"source: column {rule}, received {received}; {cure}")
        there = there & present
    made: dict[str, np.ndarray] = {}
    for part, (_, flat, _) in zip(parts, found, strict=True):
        made |= _padded(part, lengths, flat, there, None, newest=True)
    return made


def _entries(
    feature: Feature, table: pa.Table, name: str, words: Sequence[str], first_row: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the lengths of lists, their entries, and which of these are there."""
    column = _listed(column_values(table, name), name, feature, first_row)
    lengths = _lengths(column)
    fill = meaning.PADDING[feature.dtype]
    rows = np.repeat(np.arange(len(lengths)), lengths) + first_row
    flat = convert(column.flatten(), name, feature.dtype, fill, words, rows)
    return lengths, flat, np.asarray(flat != _stored(fill), bool)


def one_entry(feature: Feature, value: Any, rows: int) -> dict[str, np.ndarray]:
    """Returns `rows` lists that hold one value, of weight 1."""
    flat = np.full(rows, _stored(value), _kind(feature))
    there = np.ones(rows, bool)
    weights = np.ones(rows, np.float32) if feature.weights is not None else None
    return _padded(feature, np.ones(rows, np.int64), flat, there, weights)


def fill_empty(feature: Feature, arrays: dict[str, np.ndarray]) -> None:
    """Puts `missing` into the padded lists that hold no entry, as training reads them."""
    missing = meaning.stand_in(feature)
    if missing is None:
        return
    values = arrays[feature.name] = arrays[feature.name].copy()
    empty = np.all(values == _stored(meaning.PADDING[feature.dtype]), axis=1)
    values[empty, 0] = _stored(missing)
    if feature.weights is not None:
        weights = arrays[feature.weights_name] = arrays[feature.weights_name].copy()
        weights[empty] = np.eye(1, weights.shape[1], dtype=np.float32)


def _padded(
    feature: Feature,
    lengths: np.ndarray,
    flat: np.ndarray,
    present: np.ndarray,
    weights: np.ndarray | None,
    newest: bool = False,
) -> dict[str, np.ndarray]:
    """Drops absent entries, then pads or cuts every list to the feature's length."""
    rows = np.repeat(np.arange(len(lengths)), lengths)[present]
    counts = np.bincount(rows, minlength=len(lengths))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    length = feature.max_length or 1
    if newest:
        places -= np.repeat(np.maximum(counts - length, 0), counts)
    kept = (places >= 0) & (places < length)
    at = rows[kept], places[kept]
    padding = _stored(meaning.PADDING[feature.dtype])
    made = {feature.name: np.full((len(lengths), length), padding, _kind(feature))}
    made[feature.name][at] = flat[present][kept]
    if weights is not None:
        made[feature.weights_name] = np.zeros((len(lengths), length), np.float32)
        made[feature.weights_name][at] = weights[present][kept]
    fill_empty(feature, made)
    return made


def _kind(feature: Feature) -> Any:
    return object if feature.dtype == "string" else feature.dtype


def _stored(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _listed(column: pa.Array, name: str, feature: Feature, first_row: int) -> pa.Array:
    """Returns lists as they are, text split, and one typed value a row as a list of it."""
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(is_kind(column.type) for is_kind in kinds):
        return column
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return _lists(_flags(column.is_valid()).astype(np.int64), column.drop_null())
    text = pc.utf8_trim(pc.fill_null(column, ""), characters=meaning.BLANKS)
    _refuse_brackets(text, name, first_row)
    parts = pc.split_pattern(text, meaning.separator_of(feature))
    lengths = np.where(_flags(pc.equal(text, "")), 0, _lengths(parts))
    kept = np.repeat(lengths > 0, _lengths(parts))
    pieces = pc.utf8_trim(parts.flatten().filter(pa.array(kept)), characters=meaning.BLANKS)
    return _lists(lengths, pieces)


def _lists(lengths: np.ndarray, values: pa.Array) -> pa.Array:
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)


def _refuse_brackets(text: pa.Array, name: str, first_row: int) -> None:
    opened, closed = cells.BRACKETS
    found = pc.and_(pc.starts_with(text, opened), pc.ends_with(text, closed))
    if pc.any(found, min_count=0).as_py():
        at = int(np.argmax(_flags(found)))
        raise ValueError(
            f"source: column {name!r} must be a list or separated text, received "
            f"{cells.shown(text[at].as_py())} in row {first_row + at}; write a list column, or the "
            "entries without brackets and quotes"
        )


def _flags(array: pa.Array) -> np.ndarray:
    return np.asarray(array.to_numpy(zero_copy_only=False), bool)


def _lengths(column: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)


def _refuse(
    wrong: np.ndarray, say: Any, table: pa.Table, names: tuple[str, str], first_row: int
) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        entries, weights = (table.column(name)[row].as_py() for name in names)
        raise ValueError(f"source: {say(names, first_row + row, entries, weights)}")
