"""FeatureColumns: the layer that lowers ``tf.feature_column`` objects to fused gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf import encoders
from idefn_tf._options import check_arguments
from idefn_tf._registry import register
from idefn_tf._types import Count, CountOrNone, NonNegative
from idefn_tf.features.column_lowering import Vocabularies, columns_from_schema, with_places_left
from idefn_tf.features.field import Field, lower
from idefn_tf.features.field_group import FIRST_ROW, NUMBERS, NUMERIC, Block, columns, find_runs
from idefn_tf.features.lookup import get_feature, normalize
from idefn_tf.features.sequence_columns import SequenceColumns
from idefn_tf.features.sequence_slots import find_sequences, sequence_encoders
from idefn_tf.features.table_access import TableAccess
from idefn_tf.features.table_layout import lay_out
from idefn_tf.features.table_shards import Shards
from idefn_tf.schema import Schema
from idefn_tf.tables import SEQUENCES, mark_table


@check_arguments
@register("layer")
class FeatureColumns(SequenceColumns, TableAccess, keras.layers.Layer):
    """Raw feature values to the representation z = concat(user block, item block, context).

    All fields of one embedding width share one table, so a batch costs one gather per width. The
    work has three steps, which a model may run apart (`encode` in the input pipeline, `gather` on
    the table's device, `combine` inside XLA)::

        encode:  values -> rows [B, S], coefficients c of the lists' slots, numbers [B, K]
        gather:  rows -> E [B, S, width]
        combine: z_field = sum over the field's slots s of c_s * E_s

    The coefficient of a single value is not carried along: it is 1, or 0 where the row is 0.
    Behaviour sequences go a way of their own, events that are there alone (`encode_sequences`).

    Args:
        columns: ``tf.feature_column`` objects (embedding, indicator or numeric columns), or
            `Field` records.
        schema: adds side, headroom, list length and serving values to the fields it names.
        embedding_stddev: standard deviation of the tables' normal initializer.
        encoder: what turns every behaviour sequence of the schema into one vector: a
            `SequenceEncoder`, cloned, or its name; default the mean of the events.
        sequence_length: how many of a sequence's events are read, the newest; None, all that the
            schema keeps.
        shards: how many shares every table's rows are sharded to, or the device of each share, such
            as ``["GPU:0", "GPU:1"]`` (`Shards`). A saved model asks for the same devices, and does
            without them where it is loaded on another machine.

    Raises:
        ValueError: if a column cannot be lowered, two fields have one name, or a field does not
            fit the one whose table it shares.

    Example:
        >>> from idefn_tf.features import FeatureColumns
        >>> layer = FeatureColumns.from_schema(schema, vocabularies)
        >>> z = layer({name: tf.constant(table[name][:2]) for name in ("user", "item", "price")})
        >>> z.shape.as_list()  # 4 for the user, 4 for the item, the price
        [2, 9]
    """

    #: Data sets of one form share what was traced for `encode` (`idefn_tf.data.encoding`).
    encodes_alike_for_life = True

    def __init__(
        self,
        columns: Sequence[Any],
        schema: Schema | None = None,
        embedding_stddev: NonNegative = 0.01,
        shards: Count | Sequence[str] = 1,
        encoder: keras.layers.Layer | str | None = None,
        sequence_length: CountOrNone = None,
        **kwargs: Any,
    ) -> None:
        # float32 whatever the policy: raw numbers and tables do not stand rounding to 8 bits
        super().__init__(**{"dtype": "float32", **kwargs})
        fields = [c if isinstance(c, Field) else lower(c, schema) for c in columns]
        if not fields:
            raise ValueError("columns: must hold at least one column, received none")
        names = [f.name for f in fields]
        if len(set(names)) != len(names):
            raise ValueError(f"columns: names must be unique, received {names}")
        self.fields = tuple(fields)
        self.embedding_stddev = embedding_stddev
        self.shards = Shards.of(shards)
        self.shards.check()
        self._by_name = {f.name: f for f in self.fields}
        self._offsets, self._rows = lay_out(self.fields)
        starts = {
            f.name: FIRST_ROW if f.indicator else self._offsets[f.table]
            for f in self.fields
            if not f.numeric
        }
        plain = [f for f in self.fields if f.name in starts and f.sequence is None]
        self._blocks = {
            key: Block([f for f in plain if f.width == int(key)], starts) for key in self._rows
        }
        hot = [f for f in self.fields if f.indicator]
        if hot:
            self._blocks["indicator"] = Block(hot, starts)
        self._numbers = [f for f in self.fields if f.numeric]
        self._runs = list(find_runs(self.fields, self._blocks))
        self.sequence_length = sequence_length
        self._sequences = find_sequences(self.fields, self._blocks, sequence_length)
        self._part_encoders = sequence_encoders(self._sequences, starts)
        self.encoder = encoders.get(encoder)
        self.sequence_encoders = {
            sequence.name: self.encoder.for_sequence(sequence.name) for sequence in self._sequences
        }
        self.trained_by: Any = None  # a weak reference to the model whose training changes it

    @classmethod
    def from_schema(
        cls, schema: Schema, vocabularies: Vocabularies, **kwargs: Any
    ) -> FeatureColumns:
        """Builds the layer for every feature of a schema."""
        roomy = with_places_left(schema, vocabularies)
        return cls(columns_from_schema(schema, vocabularies), roomy, **kwargs)

    def build(self, input_shape: Any = None) -> None:
        """Creates one table per embedding width, or one for each of its shares."""
        self.tables = {}
        shapes = self.table_shapes
        for width in self._rows:
            for share, name in enumerate(self.shards.names(width)):
                with self.shards.device(share):
                    table = self.add_weight(
                        name=f"embeddings_{name}",
                        shape=shapes[name],
                        initializer=keras.initializers.RandomNormal(stddev=self.embedding_stddev),
                        autocast=False,  # a cast would read the whole table
                    )
                self.tables[name] = mark_table(table)
        for sequence in self._sequences:
            self.sequence_encoders[sequence.name].build(sequence.width)
        self.built = True

    # -- encode -------------------------------------------------------------------------------

    @property
    def raw_names(self) -> tuple[str, ...]:
        """The batch keys that `encode` reads: the features and the weights of weighted lists."""
        names = []
        for field in self.fields:
            names += [field.name, field.weights] if field.weights else [field.name]
        return tuple(names)

    @staticmethod
    def is_encoded(features: Mapping[str, Any]) -> bool:
        """Whether `features` came from `encode`; no raw feature is a dict."""
        return isinstance(features.get("rows"), Mapping)

    def encode(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turns raw values into rows, coefficients and numbers.

        Args:
            features: by name, values [B], [B, 1], or [B, L] for a list.

        Returns:
            "rows": by width int32 [B, S], 0 where absent (of sharded tables by "<width>_<share>",
            0 also where the row is another share's), and "indicator" for multi-hot fields;
            "coefficients": by width float32 [B, S_l] of the lists' slots, where there are lists;
            "sequences": rows by sequence and width, int32 [B, K, parts], where there are any;
            "numbers": float32 [B, K], where there are numeric fields.

        Raises:
            ValueError: if a feature is missing or of the wrong kind.
        """
        all_rows: dict[str, tf.Tensor] = {}
        all_coefficients: dict[str, tf.Tensor] = {}
        for key, block in self._blocks.items():
            rows, coefficients = block(features, self.fields)
            sharded = [rows] if key == "indicator" else self.shards.split(rows)
            all_rows |= dict(zip(self._names(key), sharded, strict=True))
            if coefficients is not None:
                all_coefficients[key] = coefficients
        out: dict[str, Any] = {"rows": all_rows, "coefficients": all_coefficients}
        if self._sequences:
            out[SEQUENCES] = self.sequence_rows(features)
        if self._numbers:
            values = [get_feature(features, f.name, self.fields) for f in self._numbers]
            out[NUMBERS] = normalize(self._numbers, values)
        return out

    def encoded_signature(self) -> dict[str, Any]:
        """Returns the specification of what `encode` gives."""
        out: dict[str, Any] = {"rows": {}, "coefficients": {}}
        for key, block in self._blocks.items():
            rows, coefficients = block.slots
            for name in self._names(key):
                out["rows"][name] = tf.TensorSpec([None, rows], tf.int32)
            if coefficients:
                out["coefficients"][key] = tf.TensorSpec([None, coefficients], tf.float32)
        if self._sequences:
            out[SEQUENCES] = self.sequence_signature()
        if self._numbers:
            out[NUMBERS] = tf.TensorSpec([None, len(self._numbers)], tf.float32)
        return out

    def _names(self, key: str) -> list[str]:
        """Returns the keys of a block's tables."""
        return [key] if key == "indicator" else self.shards.names(key)

    @property
    def encoders(self) -> list[Any]:
        """The encoders that hold look-up tables, for an export to track."""
        of_blocks = [e for block in self._blocks.values() for e in block.encoders.values()]
        return [*of_blocks, *self._part_encoders.values()]

    # -- gather and combine -------------------------------------------------------------------

    def gather(self, encoded: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Reads the rows of every table: {its key: float32 [B, S, width]}."""
        gathered = {
            name: tf.gather(table.value, encoded["rows"][name])
            for name, table in self.tables.items()
        }
        if self.shards.count == 1:
            return gathered
        return {  # row 0 of a share must not count for the rows of another
            name: vectors * tf.cast(encoded["rows"][name] > 0, vectors.dtype)[:, :, None]
            for name, vectors in gathered.items()
        }

    def combine(
        self,
        gathered: Mapping[str, tf.Tensor],
        encoded: Mapping[str, Any],
        zeroed: bool = False,
        sequences: Mapping[str, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Pools the gathered rows into z, float32 [B, output_width]; pure, fit for XLA.

        Args:
            gathered: by table, [B, S, width].
            encoded: what `encode` gave.
            zeroed: whether row 0, which is the padding row, was gathered as 0 already.
            sequences: what `encode_sequences` gave; by default it is asked, and then XLA may not
                compile this.
        """
        if sequences is None:
            sequences = self.encode_sequences(gathered, encoded)
        parts: dict[str, tf.Tensor] = dict(sequences)
        for key, block in self._blocks.items():
            names = self._names(key)
            rows = encoded["rows"][names[0]]
            coefficients = encoded["coefficients"].get(key)
            if key == "indicator":
                parts.update(block.multi_hot(rows, coefficients))
            elif len(names) == 1:
                parts.update(block.pool(gathered[key], rows, coefficients, zeroed))
            else:
                vectors = tf.add_n([gathered[name] for name in names])
                parts.update(block.pool(vectors, rows, coefficients, zeroed=True))
        if self._numbers:
            parts[NUMERIC] = encoded[NUMBERS]
        pieces = [columns(parts[key], at) for key, at in self._runs]
        return pieces[0] if len(pieces) == 1 else tf.concat(pieces, 1)

    def call(self, features: Mapping[str, Any]) -> tf.Tensor:
        """Returns z [B, output_width] of raw or encoded features."""
        encoded = features if self.is_encoded(features) else self.encode(features)
        return self.combine(self.gather(encoded), encoded)

    # -- what others ask ----------------------------------------------------------------------

    @property
    def output_width(self) -> int:
        """The width of z."""
        return sum(f.output_width for f in self.fields)

    @property
    def embedded_widths(self) -> tuple[int, ...]:
        """Width in z of every embedded field, in order (what factorization machines pair)."""
        return tuple(f.width for f in self.fields if not f.numeric and not f.indicator)

    def field_slices(self) -> dict[str, slice]:
        """Returns where each field lies in z."""
        out, start = {}, 0
        for field in self.fields:
            out[field.name] = slice(start, start + field.output_width)
            start += field.output_width
        return out

    def get_config(self) -> dict[str, Any]:
        """Returns the fields, vocabularies included, so that a saved model needs nothing else."""
        return {
            **super().get_config(),
            "columns": [field.to_config() for field in self.fields],
            "embedding_stddev": self.embedding_stddev,
            "shards": self.shards.to_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "sequence_length": self.sequence_length,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeatureColumns:
        """Builds the layer from `get_config`'s dictionary."""
        config = dict(config)
        columns = [Field.from_config(c) for c in config.pop("columns")]
        shards = Shards.of(config.pop("shards", 1)).where_they_exist()
        if isinstance(config.get("encoder"), dict):
            config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(columns, shards=shards.to_config(), **config)
