"""Sequences among the slots of a batch: which slots hold a sequence's events, which the item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from idefn_tf.features.field import Field
from idefn_tf.features.field_group import Block


@dataclass(frozen=True)
class Slot:
    """One part of a sequence's events: an item feature, or the gap.

    Attributes:
        field: the part.
        key: of its block.
        at: its slots in the block, one for each event.
        item: the slot of the item feature that it shares a table with; None for the gap.
    """

    field: Field
    key: str
    at: slice
    item: int | None


@dataclass(frozen=True)
class SequenceSlots:
    """The parts of one sequence, items first.

    Attributes:
        name: of the sequence.
        slots: its parts.
    """

    name: str
    slots: tuple[Slot, ...]

    @property
    def width(self) -> int:
        """The width of an event."""
        return sum(slot.field.width for slot in self.slots)

    def there(self, rows: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns which events there are, bool [B, K]: those with a row in any part."""
        found = [rows[slot.key][:, slot.at] > 0 for slot in self.slots]
        return tf.reduce_any(tf.stack(found), 0)

    def events(self, vectors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the events, float32 [B, K, width]."""
        return tf.concat([vectors[slot.key][:, slot.at] for slot in self.slots], 2)

    def item(self, vectors: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the item in question, float32 [B, width], 0 in the columns of the gap."""
        parts = []
        for slot in self.slots:
            whole = vectors[slot.key]
            if slot.item is None:
                parts.append(tf.zeros_like(whole[:, 0]))
            else:
                parts.append(whole[:, slot.item])
        return tf.concat(parts, 1)

    def apart(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """Cuts an encoder's vectors [B, width] into the columns of each part."""
        widths = [slot.field.width for slot in self.slots]
        pieces = tf.split(encoded, widths, 1)
        return {slot.field.name: piece for slot, piece in zip(self.slots, pieces, strict=True)}


def find_sequences(
    fields: Sequence[Field], blocks: Mapping[str, Block]
) -> tuple[SequenceSlots, ...]:
    """Returns the sequences among fields, in the order of z.

    Args:
        fields: of the layer.
        blocks: by embedding width.
    """
    slots = {
        name: (key, at)
        for key, block in blocks.items()
        for name, at in block.slots_by_field().items()
    }
    found: dict[str, list[Slot]] = {}
    for field in fields:
        if field.sequence is None:
            continue
        key, at = slots[field.name]
        item = None if field.item is None else slots[field.item][1].start
        found.setdefault(field.sequence, []).append(Slot(field, key, at, item))
    return tuple(SequenceSlots(name, tuple(parts)) for name, parts in found.items())


def encode_sequences(
    sequences: Sequence[SequenceSlots],
    encoders: Mapping[str, Callable[..., tf.Tensor]],
    vectors: Mapping[str, tf.Tensor],
    rows: Mapping[str, tf.Tensor],
) -> dict[str, tf.Tensor]:
    """Runs every sequence's encoder: {name of a part: float32 [B, its width]}.

    Args:
        sequences: which.
        encoders: by sequence.
        vectors: by block, the gathered rows, 0 where there is none, [B, S, width].
        rows: by block, [B, S].
    """
    parts: dict[str, tf.Tensor] = {}
    for sequence in sequences:
        events, item = sequence.events(vectors), sequence.item(vectors)
        encoded = encoders[sequence.name](events, item, sequence.there(rows))
        parts |= sequence.apart(encoded)
    return parts
