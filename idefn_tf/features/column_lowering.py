"""From a schema and learned vocabularies to ``tf.feature_column`` objects."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from idefn_tf.schema import Feature, Schema

#: What a vocabulary file holds: {"values": [...]} or, for a numeric feature, {"mean", "std"}.
Vocabularies = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Standardize:
    """The ``normalizer_fn`` of a numeric column: (log1p(x) or x, minus mean) / std.

    Attributes:
        mean, std, log1p: of the normalization.
        missing: what a number that is not finite becomes: 0, the mean, where numbers are
            standardized.

    Example:
        >>> from idefn_tf.features import Standardize
        >>> Standardize(mean=10.0, std=5.0)(tf.constant([10.0, 20.0])).numpy().tolist()
        [0.0, 2.0]
    """

    mean: float = 0.0
    std: float = 1.0
    log1p: bool = False
    missing: float = 0.0

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the normalized values, of the same shape, in float32."""
        values = tf.cast(values, tf.float32)
        there = tf.math.is_finite(values)
        if self.log1p:
            values = tf.math.log1p(tf.maximum(values, 0.0))
        return tf.where(there, (values - self.mean) / self.std, self.missing)


@contextlib.contextmanager
def quiet_deprecations() -> Iterator[None]:
    """Silences TensorFlow's advice against feature columns, which are only a vocabulary here."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def columns_from_schema(schema: Schema, vocabularies: Vocabularies) -> list[Any]:
    """Builds one ``tf.feature_column`` per feature, in the order of z.

    Args:
        schema: the table's description.
        vocabularies: by feature name, what preparation learned on the training split.

    Returns:
        Dense columns: ``embedding_column`` of a categorical feature, ``numeric_column`` otherwise.

    Raises:
        ValueError: if a feature of kind vocabulary has none in `vocabularies`.

    Example:
        >>> from idefn_tf.features import columns_from_schema
        >>> columns = columns_from_schema(schema, vocabularies)
        >>> len(columns), [column.name for column in columns]
        (3, ['user_embedding', 'item_embedding', 'price'])
    """
    with quiet_deprecations():
        return [_column(schema, feature, vocabularies) for feature in schema.ordered]


def _column(schema: Schema, feature: Feature, vocabularies: Vocabularies) -> Any:
    make = tf.feature_column
    if feature.kind == "numeric":
        learned = vocabularies.get(feature.name, {})
        mean, std = float(learned.get("mean", 0.0)), float(learned.get("std", 1.0)) or 1.0
        normalizer = Standardize(mean, std, feature.log1p)
        if not feature.standardize:  # the mean is for missing numbers alone
            normalizer = Standardize(log1p=feature.log1p, missing=mean)
        return make.numeric_column(feature.name, dtype=tf.float32, normalizer_fn=normalizer)
    if feature.kind == "bucketized":
        categorical = make.bucketized_column(
            make.numeric_column(feature.name), list(feature.boundaries or ())
        )
    else:
        categorical = _categorical(feature, vocabularies)
        if feature.weights is not None:
            categorical = make.weighted_categorical_column(categorical, feature.weights_name)
    return make.embedding_column(categorical, schema.width(feature), combiner=feature.combiner)


def _categorical(feature: Feature, vocabularies: Vocabularies) -> Any:
    make = tf.feature_column
    dtype = tf.int64 if feature.dtype == "int64" else tf.string
    if feature.kind == "identity":
        return make.categorical_column_with_identity(feature.name, feature.num_buckets)
    if feature.kind == "hash":
        return make.categorical_column_with_hash_bucket(feature.name, feature.num_buckets, dtype)
    values = vocabulary_of(feature, vocabularies)
    return make.categorical_column_with_vocabulary_list(
        feature.name,
        # TensorFlow refuses an empty list; a value that cannot occur stands in
        values or [-1 if feature.dtype == "int64" else ""],
        dtype,
        num_oov_buckets=feature.oov_buckets if feature.oov == "bucket" else 0,
    )


def vocabulary_of(feature: Feature, vocabularies: Vocabularies) -> Sequence[Any]:
    """Returns the values that a vocabulary feature knows, most frequent first."""
    owner = feature.tied_to or feature.name
    try:
        return list(vocabularies[owner]["values"])
    except KeyError:
        raise ValueError(
            f"vocabularies: feature {feature.name!r} of kind vocabulary needs the values of "
            f"{owner!r}, received vocabularies of {sorted(vocabularies)}; learn them with "
            "idefn_tf.learn_vocabularies or pipelines.prepare."
        ) from None


def with_places_left(schema: Schema, vocabularies: Vocabularies) -> Schema:
    """Returns the schema with the headroom that extended vocabularies still have.

    A vocabulary that was extended states its `capacity`: as many ids as there were places for when
    it was first learned, so that its table keeps its size and every known id its row.
    """

    def left(feature: Feature) -> Feature:
        learned = vocabularies.get(feature.tied_to or feature.name) or {}
        if feature.kind != "vocabulary" or "capacity" not in learned:
            return feature
        places = int(learned["capacity"]) - max(len(learned["values"]), 1)
        if places < 0:
            raise ValueError(
                f"vocabularies: {feature.name!r} holds {len(learned['values'])} values, more than "
                f"its capacity {learned['capacity']}; learn it anew."
            )
        return feature.model_copy(update={"headroom": places})

    return schema.model_copy(update={"features": tuple(left(f) for f in schema.features)})
