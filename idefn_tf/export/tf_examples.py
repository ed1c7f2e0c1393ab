"""Requests as tf.Example, which classify, regress and predict_examples take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.export.signatures import serving_schema
from idefn_tf.schema import Feature, Schema


def to_examples(schema: Schema, arrays: Mapping[str, np.ndarray]) -> list[bytes]:
    """Writes requests as serialized tf.Example, lists without their padding."""
    rows = len(next(iter(arrays.values())))
    features = serving_schema(schema).features
    return [_example(features, arrays, row) for row in range(rows)]


def _example(features: Sequence[Feature], arrays: Mapping[str, np.ndarray], row: int) -> bytes:
    made: dict[str, tf.train.Feature] = {}
    for feature in features:
        values = np.atleast_1d(arrays[feature.name][row])
        if feature.multi_valued:
            absent: Any = b"" if feature.dtype == "string" else -1
            present = np.flatnonzero(values != absent)
            values = values[: present[-1] + 1 if present.size else 0]
            if feature.weights is not None:
                weights = arrays[feature.weights_name][row][: len(values)]
                made[feature.weights_name] = _feature("float32", weights)
        made[feature.name] = _feature(feature.dtype, values)
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def _feature(dtype: str, values: np.ndarray) -> tf.train.Feature:
    if dtype == "string":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=list(values)))
    if dtype == "int64":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values.tolist()))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values.tolist()))
