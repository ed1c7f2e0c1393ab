"""SequenceColumns: behaviour sequences of a layer, encoded padded and computed packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from idefn_tf.encoders import SequenceEncoder
from idefn_tf.features.field import Field
from idefn_tf.features.lookup import FieldEncoder
from idefn_tf.features.sequence_slots import SequenceSlots
from idefn_tf.features.table_shards import Shards
from idefn_tf.tables import packed_events


class SequenceColumns:
    """What `FeatureColumns` does with sequences, whose events may be many or none."""

    fields: tuple[Field, ...]
    shards: Shards
    tables: dict[str, Any]
    sequence_encoders: dict[str, SequenceEncoder]
    _sequences: Sequence[SequenceSlots]
    _part_encoders: Mapping[str, FieldEncoder]

    def sequence_rows(self, features: Mapping[str, Any]) -> dict[str, dict[str, tf.Tensor]]:
        """Encodes raw sequences: {sequence: {table: int32 [B, K, parts]}}, 0 where absent."""
        return {
            sequence.name: {
                name: asked
                for key, rows in sequence.encode(features, self.fields, self._part_encoders).items()
                for name, asked in zip(self.shards.names(key), self.shards.split(rows), strict=True)
            }
            for sequence in self._sequences
        }

    def sequence_signature(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Returns the specification of `sequence_rows`."""
        return {
            sequence.name: {
                name: tf.TensorSpec([None, sequence.length, len(parts)], tf.int32)
                for key, parts in sequence.by_key().items()
                for name in self.shards.names(key)
            }
            for sequence in self._sequences
        }

    def gather_events(self, encoded: Mapping[str, Any]) -> dict[str, dict[str, tf.Tensor]]:
        """Reads the rows of packed events: {sequence: {table: float32 [P, parts, width]}}."""
        found: dict[str, dict[str, tf.Tensor]] = {}
        for sequence, packed in packed_events(encoded).items():
            for name, rows in packed["rows"].items():
                vectors = tf.gather(self.tables[name].value, rows)
                vectors *= tf.cast(rows > 0, vectors.dtype)[:, :, None]
                found.setdefault(sequence, {})[name] = vectors
        return found

    def encode_sequences(
        self,
        gathered: Mapping[str, tf.Tensor],
        encoded: Mapping[str, Any],
        events: Mapping[str, Mapping[str, tf.Tensor]] | None = None,
    ) -> dict[str, tf.Tensor]:
        """Runs the sequences' encoders: {name of a part: float32 [B, its width]}.

        Args:
            gathered: by table, [B, S, width].
            encoded: what `encode` gave.
            events: what `gather_events` gives, which by default is asked; then `gathered` may hold
                other numbers than 0 for row 0.
        """
        parts: dict[str, tf.Tensor] = {}
        if not self._sequences:
            return parts
        packed = packed_events(encoded)
        zeroed = events is not None
        events = self.gather_events(encoded) if events is None else events
        for sequence in self._sequences:
            keys, of_sequence = sequence.by_key(), events[sequence.name]
            items, vectors = {}, {}
            for key in keys:
                names = self.shards.names(key)
                vectors[key] = tf.add_n([of_sequence[name] for name in names])
                items[key] = tf.add_n([gathered[name] for name in names])
                if not zeroed and len(names) == 1:
                    there = encoded["rows"][key] > 0
                    items[key] *= tf.cast(there, items[key].dtype)[:, :, None]
            encoder = self.sequence_encoders[sequence.name]
            parts |= sequence.run(encoder, packed[sequence.name]["places"], vectors, items)
        return parts
