"""Exposures from TFRecord files of tf.train.Example."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.data import list_tensors
from idefn_tf.data.arrow_to_numpy import hide_labels
from idefn_tf.data.readers.tfdata_stream import stream
from idefn_tf.schema import CLICK, CONVERSION, Schema

#: Examples that are looked at together for what they hold.
_LOOKED_AT = 1_024


def example_spec(
    schema: Schema,
    labels: bool = False,
    lacking: Collection[str] = (),
    further: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns what ``tf.io.parse_example`` reads: one entry a feature, its fill as default.

    Args:
        schema: what the features are.
        labels: whether labels and a weight are read.
        lacking: train-only features that the files do not hold: `serving_value` stands in. An
            example without a feature that others have is a missing value, as a null in Parquet is.
        further: labels beside click and conversion, floats that every example holds.
    """
    spec: dict[str, Any] = {}
    for feature in schema.features:
        dtype = tf.as_dtype(feature.dtype)
        if feature.multi_valued:
            spec[feature.name] = tf.io.RaggedFeature(dtype)
            if feature.weights is not None:
                spec[feature.weights_name] = tf.io.RaggedFeature(tf.float32)
            continue
        default = feature.serving_value if feature.name in lacking else feature.fill
        spec[feature.name] = tf.io.FixedLenFeature([], dtype, default)
    if labels:
        for name in (CLICK, CONVERSION):
            spec[name] = tf.io.FixedLenFeature([], tf.int64)
        spec["sample_weight"] = tf.io.FixedLenFeature([], tf.float32, 1.0)
        spec |= {name: tf.io.FixedLenFeature([], tf.float32) for name in further}
    return spec


def parse_examples(
    schema: Schema,
    serialized: tf.Tensor,
    labels: bool = False,
    lacking: Collection[str] = (),
    further: Sequence[str] = (),
) -> Any:
    """Parses serialized examples [B] to dense features, lists padded to their max_length.

    The other arguments are those of `example_spec`.
    """
    parsed = tf.io.parse_example(serialized, example_spec(schema, labels, lacking, further))
    for parts in schema.parts_by_sequence.values():
        parsed |= list_tensors.densify_events(parts, parsed)
    for feature in schema.features:
        if feature.multi_valued and isinstance(parsed[feature.name], tf.RaggedTensor):
            if feature.name in lacking:  # every list is empty
                feature = feature.model_copy(update={"missing": feature.serving_value})
            weights = None if feature.weights is None else parsed[feature.weights_name]
            values, weights = list_tensors.densify(feature, parsed[feature.name], weights)
            parsed[feature.name] = values
            if feature.weights is not None:
                parsed[feature.weights_name] = weights
    return parsed


def lacking_features(schema: Schema, files: Sequence[str]) -> frozenset[str]:
    """Returns the train-only features that no example of the first file with examples holds.

    A Parquet file has a column or has it not; of TFRecord files that must be looked up. It takes a
    few examples where the features are there, and one file where they are not.

    Raises:
        tf.errors.OpError: if a file is no TFRecord.
    """
    unseen = {
        f.name: tf.io.VarLenFeature(tf.as_dtype(f.dtype)) for f in schema.features if f.train_only
    }
    some = False
    for file in files:
        if some or not unseen:
            break
        for serialized in tf.data.TFRecordDataset(file).batch(_LOOKED_AT):
            some = True
            parsed = tf.io.parse_example(serialized, unseen)
            unseen = {n: spec for n, spec in unseen.items() if not int(tf.size(parsed[n].values))}
            if not unseen:
                break
    return frozenset(unseen)


def read_tfrecord(
    schema: Schema,
    files: Sequence[str],
    labels: bool,
    rows: int = 65_536,
    further: Sequence[str] = (),
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the files' rows in order, at most `rows` at a time, as `to_arrays` would give them.

    `further` are labels beside click and conversion.

    Raises:
        ValueError: if a file is no TFRecord, an example lacks a column or holds a wrong label.
    """
    dataset = tf.data.TFRecordDataset(list(files)).batch(rows)
    try:
        lacking = lacking_features(schema, files)
        for serialized in dataset:
            parsed = parse_examples(schema, serialized, labels, lacking, further)
            arrays = {name: tensor.numpy() for name, tensor in parsed.items()}
            if labels:
                hide_labels(arrays)
            yield arrays
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        raise ValueError(f"source: {list(files)[:5]} cannot be read; {error.message}") from None


def stream_tfrecord(
    schema: Schema,
    files: Sequence[str],
    labels: bool,
    further: Sequence[str] = (),
    **options: Any,
) -> tf.data.Dataset:
    """Streams TFRecord files that do not fit in memory; the options are those of `stream`."""
    lacking = lacking_features(schema, files)

    def rows(seed: tf.Tensor | None) -> tf.data.Dataset:
        names = tf.data.Dataset.from_tensor_slices(list(files))
        if seed is not None:
            names = names.shuffle(len(files), seed=seed, reshuffle_each_iteration=False)
        return tf.data.TFRecordDataset(names)

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        return parse_examples(schema, serialized, labels, lacking, further)

    return stream(rows, parse, labels=labels, further=further, **options)
