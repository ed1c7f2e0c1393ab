"""Encoded rows in memory: raw rows are encoded piece by piece, and each piece is let go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.data.batch_sampler import Arrays
from idefn_tf.data.encoding import Encoder, EncodingPrograms
from idefn_tf.data.held_rows import Filling, HeldRows, trimmed

#: Rows that are encoded at a time.
_PIECE = 65_536


@dataclass(frozen=True)
class EncodedRows:
    """What training holds of rows: encoded features, labels and weights, no raw features.

    Attributes:
        features: what the encoder gave, and raw features that stay beside it.
        targets: labels and weight.
        arrays: the targets as arrays, by which batches are sampled; never empty.
    """

    features: HeldRows
    targets: HeldRows
    arrays: Arrays

    @classmethod
    def of(
        cls,
        pieces: Iterable[Arrays],
        layer: Encoder,
        keep: Sequence[str],
        targets: Sequence[str],
        rows: int | None = None,
        most: int | None = None,
    ) -> EncodedRows | None:
        """Encodes rows as they come.

        Args:
            pieces: raw rows, at least one piece.
            layer: what encodes.
            keep: raw features that stay.
            targets: names of labels and weight.
            rows: how many there are, where known.
            most: gives None where there are more.
        """
        made: Any = None
        given = {name: Filling(rows) for name in targets}
        size = 0
        for piece in pieces:
            size += len(next(iter(piece.values())))
            if most is not None and size > most:
                return None
            for encoded in encoded_pieces(layer, piece, keep):
                if made is None:
                    made = tf.nest.map_structure(lambda _: Filling(rows), encoded)
                tf.nest.map_structure(Filling.add, made, encoded)
            for name in targets:
                given[name].add(piece[name])
        whole = {name: filling.whole() for name, filling in given.items()}
        features = HeldRows(tf.nest.map_structure(Filling.whole, made))
        # without labels something must have as many rows
        return cls(features, HeldRows(whole), whole or {"": np.empty(size, bool)})


def encoded_pieces(layer: Encoder, arrays: Arrays, keep: Sequence[str] = ()) -> Iterable[Any]:
    """Yields encoded features, some rows at a time, as `HeldRows` takes them.

    Args:
        layer: what encodes.
        arrays: raw features by name.
        keep: raw features that stay beside the encoded ones.
    """
    size = len(next(iter(arrays.values())))
    program = EncodingPrograms.of(layer).rows
    for start in range(0, max(size, 1), _PIECE):
        some: Mapping[str, Any] = {n: v[start : start + _PIECE] for n, v in arrays.items()}
        encoded = program({name: tf.convert_to_tensor(some[name]) for name in layer.raw_names})
        yield {
            **{name: some[name] for name in keep},
            **tf.nest.map_structure(trimmed, encoded),
        }
