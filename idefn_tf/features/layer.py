"""FeatureColumns: the layer that lowers ``tf.feature_column`` objects to fused gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from idefn_tf.features.columns import Vocabularies, columns_from_schema
from idefn_tf.features.encoding import FieldEncoder, normalize, take
from idefn_tf.features.field import Field, lower
from idefn_tf.optimizers import mark_table
from idefn_tf.schema import Schema

#: Row 0 of every fused table belongs to nobody; absent values point there with coefficient 0.
_FIRST_ROW = 1


@keras.saving.register_keras_serializable(package="idefn_tf")
class FeatureColumns(keras.layers.Layer):
    """Raw feature values to the representation z = concat(user block, item block, context).

    All fields of one embedding width share one table, so a batch costs one gather per width. The
    work has three steps, which a model may run apart (`encode` in the input pipeline, `gather` on
    the table's device, `combine` inside XLA)::

        encode:  values -> rows [B, S], coefficients c [B, S], numbers [B, K]
        gather:  rows -> E [B, S, width]
        combine: z_field = sum over the field's slots s of c_s * E_s

    Args:
        columns: ``tf.feature_column`` objects (embedding, indicator or numeric columns), or
            `Field` records.
        schema: adds side, headroom, list length and serving values to the fields it names.
        embedding_stddev: standard deviation of the tables' normal initializer.

    Example::

        layer = FeatureColumns.from_schema(schema, vocabularies)
        z = layer({"user_id": ..., "item_id": ...})

    Raises:
        ValueError: if a column cannot be lowered, or two fields have one name.
    """

    def __init__(
        self,
        columns: Sequence[Any],
        schema: Schema | None = None,
        embedding_stddev: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        fields = [c if isinstance(c, Field) else lower(c, schema) for c in columns]
        if not fields:
            raise ValueError("columns: must hold at least one column, received none")
        names = [f.name for f in fields]
        if len(set(names)) != len(names):
            raise ValueError(f"columns: names must be unique, received {names}")
        self.fields = tuple(fields)
        self.embedding_stddev = embedding_stddev
        self._by_name = {f.name: f for f in self.fields}
        self._offsets, self._rows = self._lay_out()
        self._encoders = {
            f.name: FieldEncoder(f, 0 if f.indicator else self._offsets[f.table])
            for f in self.fields
            if not f.numeric
        }
        self._plan = {
            key: [f for f in self.fields if str(f.width) == key and not f.numeric]
            for key in self._rows
        }

    @classmethod
    def from_schema(
        cls, schema: Schema, vocabularies: Vocabularies, **kwargs: Any
    ) -> FeatureColumns:
        """Builds the layer for every feature of a schema."""
        return cls(columns_from_schema(schema, vocabularies), schema, **kwargs)

    def _lay_out(self) -> tuple[dict[str, int], dict[str, int]]:
        """Gives every table owner its first row, width by width."""
        offsets: dict[str, int] = {}
        rows: dict[str, int] = {}
        for field in self.fields:
            if field.numeric or field.indicator or field.table != field.name:
                continue
            start = rows.setdefault(str(field.width), _FIRST_ROW)
            offsets[field.name] = start
            rows[str(field.width)] = start + field.rows
        for field in self.fields:
            if field.numeric or field.indicator or field.table in offsets:
                continue
            raise ValueError(
                f"columns: {field.name!r} is tied to {field.table!r}, which is not an embedded "
                "column of this layer; add it or remove the tie."
            )
        return offsets, rows

    def build(self, input_shape: Any = None) -> None:
        """Creates one table per embedding width."""
        self.tables = {
            width: mark_table(
                self.add_weight(
                    name=f"embeddings_{width}",
                    shape=(rows, int(width)),
                    initializer=keras.initializers.RandomNormal(stddev=self.embedding_stddev),
                    autocast=False,  # a cast would read the whole table
                )
            )
            for width, rows in self._rows.items()
        }
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
        """Whether `features` came from `encode`."""
        return any(name.startswith(("rows:", "numbers:")) for name in features)

    def encode(self, features: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Turns raw values into rows, coefficients and numbers.

        Args:
            features: by name, values [B], [B, 1], or [B, L] for a list.

        Returns:
            {"rows:<width>": int32 [B, S], "coefficients:<width>": float32 [B, S],
            "numbers:": float32 [B, K], and the same pair under "indicator" for multi-hot fields}.

        Raises:
            ValueError: if a feature is missing.
        """
        out: dict[str, tf.Tensor] = {}
        groups: dict[str, list[Field]] = dict(self._plan)
        groups["indicator"] = [f for f in self.fields if f.indicator]
        for key, fields in groups.items():
            if not fields:
                continue
            pairs = [self._encode_field(features, f) for f in fields]
            out[f"rows:{key}"] = tf.concat([rows for rows, _ in pairs], 1)
            out[f"coefficients:{key}"] = tf.concat([c for _, c in pairs], 1)
        numbers = [
            normalize(f, take(features, f.name, self.fields)) for f in self.fields if f.numeric
        ]
        if numbers:
            out["numbers:"] = tf.stack(numbers, 1)
        return out

    def _encode_field(
        self, features: Mapping[str, Any], field: Field
    ) -> tuple[tf.Tensor, tf.Tensor]:
        values = take(features, field.name, self.fields)
        if field.dtype != "string" and values.dtype != field.dtype and values.dtype != tf.string:
            values = tf.cast(values, field.dtype)
        if (values.dtype == tf.string) != (field.dtype == "string"):
            raise ValueError(
                f"features: {field.name!r} must be {field.dtype}, received {values.dtype.name}; "
                "convert the column."
            )
        weights = take(features, field.weights, self.fields) if field.weights else None
        return self._encoders[field.name](values, weights)

    # -- gather and combine -------------------------------------------------------------------

    def gather(self, encoded: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Reads the rows of every table: {width: float32 [B, S, width]}."""
        return {
            width: tf.gather(table.value, encoded[f"rows:{width}"])
            for width, table in self.tables.items()
        }

    def combine(
        self, gathered: Mapping[str, tf.Tensor], encoded: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        """Pools the gathered rows into z, float32 [B, output_width]; pure, fit for XLA."""
        parts: dict[str, tf.Tensor] = {}
        for width, fields in self._plan.items():
            scaled = gathered[width] * encoded[f"coefficients:{width}"][:, :, None]
            parts.update(_pool(scaled, fields))
        hot = [f for f in self.fields if f.indicator]
        if hot:
            rows, coefficients = encoded["rows:indicator"], encoded["coefficients:indicator"]
            for field, at in _slices(hot):
                one_hot = tf.one_hot(rows[:, at], field.rows) * coefficients[:, at, None]
                parts[field.name] = tf.reduce_sum(one_hot, 1)
        for i, field in enumerate(f for f in self.fields if f.numeric):
            parts[field.name] = encoded["numbers:"][:, i : i + 1]
        return tf.concat([parts[f.name] for f in self.fields], 1)

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

    def row_range(self, name: str) -> tuple[int, int, int]:
        """Returns (first row of unknown values, first row of known ids, end) of a field."""
        field = self._by_name[self._by_name[name].table]
        start = self._offsets[field.name]
        return start, start + field.oov_buckets, start + field.rows

    def set_embedding(self, name: str, matrix: np.ndarray) -> None:
        """Writes a field's rows: known ids first, then unknown values, as feature columns order.

        Raises:
            ValueError: if the matrix does not have known + oov_buckets rows of the field's width.
        """
        field = self._by_name[self._by_name[name].table]
        if np.shape(matrix) != (field.known + field.oov_buckets, field.width):
            raise ValueError(
                f"matrix: must have shape {(field.known + field.oov_buckets, field.width)} for "
                f"{name!r}, received {np.shape(matrix)}"
            )
        if not self.built:
            self.build()
        table = self.tables[str(field.width)]
        values = np.array(table)
        unknown, known, _ = self.row_range(name)
        values[known : known + field.known] = matrix[: field.known]
        values[unknown:known] = matrix[field.known :]
        table.assign(values)

    def get_config(self) -> dict[str, Any]:
        """Returns the fields, vocabularies included, so that a saved model needs nothing else."""
        return {
            **super().get_config(),
            "columns": [field.to_config() for field in self.fields],
            "embedding_stddev": self.embedding_stddev,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeatureColumns:
        """Builds the layer from `get_config`'s dictionary."""
        config = dict(config)
        columns = [Field.from_config(c) for c in config.pop("columns")]
        return cls(columns, **config)


def _slices(fields: Sequence[Field]) -> list[tuple[Field, slice]]:
    out, start = [], 0
    for field in fields:
        out.append((field, slice(start, start + field.slots)))
        start += field.slots
    return out


def _pool(scaled: tf.Tensor, fields: Sequence[Field]) -> dict[str, tf.Tensor]:
    """Sums each field's slots of [B, S, width] to [B, width]."""
    return {
        field.name: scaled[:, at.start] if field.slots == 1 else tf.reduce_sum(scaled[:, at], 1)
        for field, at in _slices(fields)
    }
