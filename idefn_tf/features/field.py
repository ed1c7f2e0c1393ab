"""Field: the plain record that a ``tf.feature_column`` is lowered to."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from idefn_tf.features.column_lowering import Standardize
from idefn_tf.schema import Schema

#: How messages call an attribute.
_WORDS = {"known": "count of known ids", "values": "vocabulary"}


@dataclass(frozen=True)
class Field:
    """How one input becomes rows of a table, or a number.

    A field owns `rows` consecutive rows of its table: first those for unknown values, then those
    of known ids, then free ones (`headroom`), so that new ids move nobody.

    Attributes:
        name: key in the batch.
        kind: identity, hash, vocabulary, bucketized or numeric.
        dtype: of the raw values.
        width: numbers of z per row (0 for an indicator: one per id).
        known: count of known ids; for kind vocabulary that of `values`.
        oov_buckets: rows for unknown values; 0 gives them the zero vector.
        headroom: free rows.
        values: the vocabulary.
        boundaries: cut points of a bucketized field.
        combiner: of a multi-valued field, mean, sum or sqrtn.
        max_length: padded length of a multi-valued field; None for one value a row.
        weights: batch key of the per-entry weights.
        table: name of the field whose rows are used (itself unless tied).
        side: user, item or context.
        mean, std, log1p: normalization of a numeric field.
        missing: of a numeric or bucketized field, the raw number that a NaN becomes; None gives a
            numeric one its mean, a bucketized one the bucket of 0.0.
        normalized_mean: of a numeric field, 0 where numbers are standardized.
        fill: raw value of a missing one; None where that is NaN.
        train_only, serving_value: absent at serving, and what stands in there.
        sequence: the behaviour sequence that the field is a part of.
        item: of such a part, the field of the item in question; None for a gap.
        history: whether it is one of the schema's aggregates over past events.

    Example:
        >>> from idefn_tf.features import Field
        >>> field = Field("hour", "identity", "int64", 4, known=24, table="hour", side="context")
        >>> field.rows, field.output_width
        (24, 4)
    """

    name: str
    kind: str
    dtype: str
    width: int
    known: int = 0
    oov_buckets: int = 0
    headroom: int = 0
    values: tuple[Any, ...] = ()
    boundaries: tuple[float, ...] = ()
    combiner: str = "mean"
    max_length: int | None = None
    weights: str | None = None
    table: str = ""
    side: str = "context"
    mean: float = 0.0
    std: float = 1.0
    log1p: bool = False
    missing: float | None = None
    normalized_mean: float = 0.0
    fill: int | float | str | None = None
    train_only: bool = False
    serving_value: int | float | str | None = None
    sequence: str | None = None
    item: str | None = None
    history: bool = False

    @property
    def rows(self) -> int:
        """How many table rows the field owns."""
        return self.oov_buckets + self.known + self.headroom

    @property
    def numeric(self) -> bool:
        """Whether the field enters z as a number."""
        return self.kind == "numeric"

    @property
    def indicator(self) -> bool:
        """Whether the field enters z as a multi-hot vector."""
        return not self.numeric and self.width == 0

    @property
    def output_width(self) -> int:
        """How many numbers of z the field fills."""
        return self.rows if self.indicator else self.width

    @property
    def slots(self) -> int:
        """How many ids a row holds: one, or the padded length."""
        return self.max_length or 1

    def check_tie(self, owner: Field) -> None:
        """Checks that this field, tied to `owner`, finds each id in the owner's row of that id.

        Raises:
            ValueError: naming what differs, and both values.
        """
        for key in ("kind", "width", "oov_buckets", "known", "boundaries", "values"):
            mine, theirs = getattr(self, key), getattr(owner, key)
            # the first ids of an identity are its owner's too
            if mine == theirs or (key == "known" and self.kind == "identity" and mine < theirs):
                continue
            if key == "values":  # too long to show
                rule = "must have the same values in the same order"
            else:
                rule = f"must be {theirs!r}, received {mine!r}"
            raise ValueError(
                f"columns: {self.name!r} shares the table of {owner.name!r}, so its "
                f"{_WORDS.get(key, key)} {rule}; give both the same (in a schema, leave the key "
                "out of the tied feature). A model saved with this pair read the rows of other "
                "ids: train it anew."
            )

    def to_config(self) -> dict[str, Any]:
        """Returns a JSON-ready dictionary; `from_config` reads it back."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Field:
        """Builds a field from `to_config`'s dictionary."""
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config.items()
        }
        return cls(**{k: v for k, v in values.items() if k in known})


def lower(column: Any, schema: Schema | None = None) -> Field:
    """Lowers one ``tf.feature_column`` object, with the schema's details where it has the feature.

    Raises:
        ValueError: for a kind of column that cannot be lowered, naming those that can.

    Example:
        >>> from idefn_tf.features import columns_from_schema, lower
        >>> field = lower(columns_from_schema(schema, vocabularies)[0], schema)
        >>> field.name, field.kind, field.width, field.rows
        ('user', 'vocabulary', 4, 7)
    """
    field = _lower_dense(column)
    if schema is None or field.name not in {f.name for f in schema.features}:
        return field
    feature = schema.feature(field.name)
    nan = isinstance(feature.fill, float) and math.isnan(feature.fill)
    return replace(
        field,
        dtype=feature.dtype,
        headroom=feature.headroom if feature.kind == "vocabulary" else 0,
        max_length=feature.max_length,
        table=feature.tied_to or feature.name,
        side=feature.side,
        fill=None if nan else feature.fill,
        missing=feature.missing if isinstance(feature.missing, int | float) else None,
        train_only=feature.train_only,
        serving_value=feature.serving_value,
        history=any(field.name in past.names for past in schema.past.aggregates),
        **_of_sequence(field.name, schema),
    )


def _of_sequence(name: str, schema: Schema) -> dict[str, Any]:
    """Returns the sequence that a field is a part of, and its item feature."""
    for sequence in schema.sequences:
        if name in sequence.names:
            part = name.removeprefix(f"{sequence.name}__")
            return {"sequence": sequence.name, "item": None if name == sequence.gap else part}
    return {}


def _lower_dense(column: Any) -> Field:
    kind = type(column).__name__
    if kind == "EmbeddingColumn":
        return replace(
            _lower_categorical(column.categorical_column),
            width=int(column.dimension),
            combiner=column.combiner,
        )
    if kind == "IndicatorColumn":
        return replace(_lower_categorical(column.categorical_column), width=0, combiner="sum")
    if kind == "NumericColumn":
        return _lower_numeric(column)
    raise _unsupported(column)


def _lower_numeric(column: Any) -> Field:
    if tuple(column.shape) != (1,):
        raise ValueError(
            f"columns: a numeric column must have shape (1,), received {tuple(column.shape)} for "
            f"{column.key!r}; give one column a number."
        )
    normalizer = column.normalizer_fn
    if normalizer is None:
        normalizer = Standardize()
    if not isinstance(normalizer, Standardize):
        raise ValueError(
            f"columns: normalizer_fn of {column.key!r} must be idefn_tf.features.Standardize, "
            f"which can be saved with the model, received {normalizer!r}"
        )
    return Field(
        name=column.key,
        kind="numeric",
        dtype=column.dtype.name,
        width=1,
        table=column.key,
        mean=normalizer.mean,
        std=normalizer.std,
        log1p=normalizer.log1p,
        normalized_mean=normalizer.missing,
    )


def _lower_categorical(column: Any) -> Field:
    kind = type(column).__name__
    if kind == "WeightedCategoricalColumn":
        inner = _lower_categorical(column.categorical_column)
        return replace(inner, weights=column.weight_feature_key)
    if kind == "BucketizedColumn":
        source = _lower_numeric(column.source_column)
        if (source.mean, source.std, source.log1p) != (0.0, 1.0, False):
            raise ValueError(
                f"columns: the source of bucketized {source.name!r} must have no normalizer_fn; "
                "state the boundaries in raw units."
            )
        cuts = tuple(float(b) for b in column.boundaries)
        return replace(source, kind="bucketized", width=0, boundaries=cuts, known=len(cuts) + 1)
    if kind == "VocabularyFileCategoricalColumn":
        lines = Path(column.vocabulary_file).read_text(encoding="utf-8").splitlines()
        if column.vocabulary_size is not None:
            lines = lines[: column.vocabulary_size]
        integers = column.dtype.name == "int64"
        return _vocabulary(column, tuple(int(v) if integers else v for v in lines))
    if kind == "VocabularyListCategoricalColumn":
        return _vocabulary(column, tuple(column.vocabulary_list))
    if kind == "IdentityCategoricalColumn":
        if column.default_value is not None:
            raise ValueError(
                f"columns: default_value of identity column {column.key!r} must be None (an id out "
                f"of range gives the zero vector), received {column.default_value}"
            )
        return Field(
            column.key, "identity", "int64", 0, known=int(column.number_buckets), table=column.key
        )
    if kind == "HashedCategoricalColumn":
        size = int(column.hash_bucket_size)
        return Field(column.key, "hash", column.dtype.name, 0, known=size, table=column.key)
    raise _unsupported(column)


def _vocabulary(column: Any, values: tuple[Any, ...]) -> Field:
    if column.default_value not in (-1, None):
        raise ValueError(
            f"columns: default_value of vocabulary column {column.key!r} must be -1, received "
            f"{column.default_value}; use num_oov_buckets for unknown values."
        )
    return Field(
        column.key,
        "vocabulary",
        column.dtype.name,
        0,
        known=len(values),
        oov_buckets=int(column.num_oov_buckets),
        values=tuple(v.decode() if isinstance(v, bytes) else v for v in values),
        table=column.key,
    )


def _unsupported(column: Any) -> ValueError:
    return ValueError(
        f"columns: {type(column).__name__} cannot be lowered; use embedding_column or "
        "indicator_column over identity, hash, vocabulary, bucketized or weighted columns, or "
        "numeric_column; tie tables with `tied_to` in the schema in place of shared_embeddings."
    )
