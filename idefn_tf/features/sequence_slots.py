"""Sequence slots: which rows of which tables a sequence's events ask for, and the item beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from idefn_tf.data.list_tensors import fill_empty
from idefn_tf.encoders import SequenceEncoder
from idefn_tf.encoders.packed import PackedEvents
from idefn_tf.features.field import Field
from idefn_tf.features.field_group import Block, typed
from idefn_tf.features.lookup import FieldEncoder, get_feature
from idefn_tf.schema.lists import PADDING


@dataclass(frozen=True)
class Part:
    """One part of a sequence's events: an item feature, or the gap.

    Attributes:
        field: the part.
        key: of the block whose table it reads.
        at: its place among the sequence's parts that read that table.
        item: the slot, in that block, of the item feature that it shares a table with; None for
            the gap.
    """

    field: Field
    key: str
    at: int
    item: int | None


@dataclass(frozen=True)
class SequenceSlots:
    """The parts of one sequence, items first.

    Attributes:
        name: of the sequence.
        parts: what an event consists of.
        newest: how many events are read; None, all that a row holds.
    """

    name: str
    parts: tuple[Part, ...]
    newest: int | None = None

    @property
    def width(self) -> int:
        """The width of an event."""
        return sum(part.field.width for part in self.parts)

    @property
    def length(self) -> int:
        """How many events are read at most."""
        slots = self.parts[0].field.slots
        return slots if self.newest is None else min(slots, self.newest)

    def by_key(self) -> dict[str, list[Part]]:
        """Returns the parts by the block whose table they read."""
        found: dict[str, list[Part]] = {}
        for part in self.parts:
            found.setdefault(part.key, []).append(part)
        return found

    def encode(
        self,
        features: Mapping[str, Any],
        fields: tuple[Field, ...],
        encoders: Mapping[str, FieldEncoder],
    ) -> dict[str, tf.Tensor]:
        """Returns the rows that events ask for, by block int32 [B, K, parts], 0 where absent.

        Args:
            features: raw values by name.
            fields: all fields of the layer, for error messages.
            encoders: by part.

        Raises:
            ValueError: if a part has another length.
        """
        rows = {}
        for key, parts in self.by_key().items():
            asked = []
            for field in (part.field for part in parts):
                values = typed(get_feature(features, field.name, fields), field)
                if values.shape[1] not in (None, field.slots):
                    raise ValueError(
                        f"features: {field.name!r} must hold {field.slots} entries a row, padded "
                        f"at the end, received {values.shape[1]}; keep the newest, or give a "
                        "RaggedTensor."
                    )
                values, _ = fill_empty(values, None, PADDING[field.dtype], field.fill)
                asked.append(encoders[field.name](values, None)[0])
            rows[key] = tf.stack(asked, 2)
        return rows if self.length == self.parts[0].field.slots else _newest(rows, self.length)

    def item(self, vectors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the item in question, float32 [B, width], 0 in the columns of the gap.

        Args:
            vectors: by block, the gathered rows, 0 where there is none, [B, S, width].
        """
        parts = []
        for part in self.parts:
            whole = vectors[part.key]
            if part.item is None:
                parts.append(tf.zeros([tf.shape(whole)[0], part.field.width], whole.dtype))
            else:
                parts.append(whole[:, part.item])
        return tf.concat(parts, 1)

    def events(self, vectors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns packed events, float32 [P, width], of the rows by block [P, parts, width]."""
        if len(self.by_key()) == 1:  # the parts stand side by side already
            return tf.reshape(vectors[self.parts[0].key], [-1, self.width])
        return tf.concat([vectors[part.key][:, part.at] for part in self.parts], 1)

    def run(
        self,
        encoder: SequenceEncoder,
        places: tf.Tensor,
        events: Mapping[str, tf.Tensor],
        vectors: Mapping[str, tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Runs the encoder: {name of a part: float32 [B, its width]}.

        Args:
            encoder: of this sequence.
            places: row and position of each event, int64 [P, 2].
            events: as `events` takes them.
            vectors: as `item` takes them.
        """
        item = self.item(vectors)
        batch = tf.shape(item, tf.int64)[0]
        packed = PackedEvents(self.events(events), places[:, 0], places[:, 1], self.length, batch)
        widths = [part.field.width for part in self.parts]
        pieces = tf.split(encoder.of_packed(packed, item), widths, 1)
        return {part.field.name: piece for part, piece in zip(self.parts, pieces, strict=True)}


def _newest(rows: Mapping[str, tf.Tensor], length: int) -> dict[str, tf.Tensor]:
    """Keeps the newest events: the last ones, before the padding at the end."""
    there = tf.add_n([tf.reduce_sum(asked, 2) for asked in rows.values()]) > 0
    places = tf.range(1, tf.shape(there)[1] + 1)
    count = tf.reduce_max(tf.where(there, places, 0), 1)
    first = tf.maximum(count - length, 0)
    kept = first[:, None] + tf.range(length)
    return {key: tf.gather(asked, kept, batch_dims=1) for key, asked in rows.items()}


def find_sequences(
    fields: Sequence[Field], blocks: Mapping[str, Block], newest: int | None = None
) -> tuple[SequenceSlots, ...]:
    """Returns the sequences among fields, in the order of z.

    Args:
        fields: of the layer.
        blocks: by embedding width.
        newest: how many events are read; None, all.
    """
    singles = {f.name: i for block in blocks.values() for i, f in enumerate(block.singles)}
    found: dict[str, list[Part]] = {}
    for field in fields:
        if field.sequence is None:
            continue
        parts = found.setdefault(field.sequence, [])
        key = str(field.width)
        at = sum(part.key == key for part in parts)
        parts.append(Part(field, key, at, None if field.item is None else singles[field.item]))
    return tuple(SequenceSlots(name, tuple(parts), newest) for name, parts in found.items())


def sequence_encoders(
    sequences: Sequence[SequenceSlots], starts: Mapping[str, int]
) -> dict[str, FieldEncoder]:
    """Returns what encodes each part's values, by its name.

    Args:
        sequences: which.
        starts: first row of every field in its table.
    """
    fields = [part.field for sequence in sequences for part in sequence.parts]
    return {field.name: FieldEncoder(field, starts[field.name]) for field in fields}
