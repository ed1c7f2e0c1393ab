"""Packed events: the valid positions of padded behaviour sequences, one after the other.

A batch holds its sequences padded, so that replicas can cut it by rows. What is computed is their
events alone: cost grows with events, not with length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

#: Under which name an encoded batch holds padded sequences: {sequence: {table: [B, K, parts]}}.
SEQUENCES = "sequences"
#: Under which name it holds what `pack` gives, where the input pipeline packed them.
EVENTS = "events"


def pack(tables: Mapping[str, tf.Tensor]) -> dict[str, Any]:
    """Packs one padded sequence; a position without a row in any table holds no event.

    Args:
        tables: by table int32 [B, K, parts], 0 where there is none.

    Returns:
        "places", int64 [P, 2]: row of the batch and position of each event, in order; "rows", by
        table int32 [P, parts].

    Example:
        >>> from idefn_tf.tables import pack
        >>> packed = pack({"4": tf.constant([[[7], [3], [0]], [[0], [0], [0]], [[3], [0], [0]]])})
        >>> packed["places"].numpy().tolist(), packed["rows"]["4"].numpy().ravel().tolist()
        ([[0, 0], [0, 1], [2, 0]], [7, 3, 3])
    """
    there = [tf.reduce_any(rows > 0, 2) for rows in tables.values()]
    some = there[0]
    for other in there[1:]:
        some = tf.logical_or(some, other)
    places = tf.where(some)
    return {
        "places": places,
        "rows": {name: tf.gather_nd(rows, places) for name, rows in tables.items()},
    }


def packed_events(encoded: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns every sequence of a batch packed, ahead or now: {sequence: what `pack` gives}.

    Example:
        >>> from idefn_tf.tables import packed_events
        >>> clicks = {"4": tf.constant([[[7], [0]], [[3], [5]]])}
        >>> packed_events({"rows": {}, "sequences": {"clicks": clicks}})["clicks"]["places"].shape
        TensorShape([3, 2])
    """
    if EVENTS in encoded:
        return dict(encoded[EVENTS])
    return {name: pack(tables) for name, tables in encoded.get(SEQUENCES, {}).items()}


def events_of(packed: Mapping[str, Mapping[str, Any]], table: str) -> dict[str, tf.Tensor]:
    """Returns the rows that packed sequences ask of one table: {sequence: int32 [P, parts]}.

    Example:
        >>> from idefn_tf.tables import events_of, pack
        >>> events_of({"clicks": pack({"4": tf.constant([[[7]]])})}, "2")
        {}
    """
    return {name: one["rows"][table] for name, one in packed.items() if table in one["rows"]}
