"""Exposures from TFRecord files of tf.train.Example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from idefn_tf.schema import CLICK, CONVERSION, Schema


def example_spec(schema: Schema, labels: bool = False) -> dict[str, Any]:
    """Returns what ``tf.io.parse_example`` reads: one entry a feature, its fill as default."""
    spec: dict[str, Any] = {}
    for feature in schema.features:
        dtype = tf.as_dtype(feature.dtype)
        if feature.multi_valued:
            spec[feature.name] = tf.io.RaggedFeature(dtype)
            if feature.weights is not None:
                spec[feature.weights_name] = tf.io.RaggedFeature(tf.float32)
            continue
        default = feature.serving_value if feature.train_only else feature.fill
        spec[feature.name] = tf.io.FixedLenFeature([], dtype, default)
    if labels:
        for name in (CLICK, CONVERSION):
            spec[name] = tf.io.FixedLenFeature([], tf.int64)
        spec["sample_weight"] = tf.io.FixedLenFeature([], tf.float32, 1.0)
    return spec


def parse_examples(schema: Schema, serialized: tf.Tensor, labels: bool = False) -> Any:
    """Parses serialized examples [B] to dense features, lists padded to their max_length."""
    parsed = tf.io.parse_example(serialized, example_spec(schema, labels))
    for feature in schema.features:
        if feature.multi_valued:
            padding: Any = "" if feature.dtype == "string" else -1
            shape = [None, feature.max_length]
            parsed[feature.name] = parsed[feature.name].to_tensor(padding, shape=shape)
            if feature.weights is not None:
                name = feature.weights_name
                parsed[name] = parsed[name].to_tensor(0.0, shape=shape)
    return parsed


def open_tfrecord(
    schema: Schema,
    files: Sequence[str],
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    drop_remainder: bool,
    labels: bool,
    shuffle_rows: int,
) -> tf.data.Dataset:
    """Opens TFRecord files; the arguments are those of `open_dataset`."""
    names = tf.data.Dataset.from_tensor_slices(list(files))
    if shuffle:
        names = names.shuffle(len(files), seed=seed)
    dataset = tf.data.TFRecordDataset(names)
    if shuffle:
        dataset = dataset.shuffle(shuffle_rows, seed=seed)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    return dataset.map(
        lambda rows: to_batch(parse_examples(schema, rows, labels), labels),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).prefetch(tf.data.AUTOTUNE)


def to_batch(columns: dict[str, tf.Tensor], labels: bool) -> Any:
    """Splits parsed columns into (features, labels, sample_weight), hiding as `to_arrays` does."""
    if not labels:
        return (columns,)
    click = tf.cast(columns.pop(CLICK), tf.float32)
    conversion = tf.cast(columns.pop(CONVERSION), tf.float32) * click
    return columns, {CLICK: click, CONVERSION: conversion}, columns.pop("sample_weight")
