"""Vocabularies from a table in memory: what a DataFrame user calls in place of preparation.

The order of a vocabulary, here and in `pipelines.preparation.vocabularies`, which counts in a
database what no memory holds: values of at least `min_count` training rows, the most frequent
first, equal counts by value (strings by their UTF-8 bytes), the first `max_size` of them. Absent
values (-1, "") never enter; a tied feature adds its counts to its owner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from idefn_tf._registry import register
from idefn_tf.data.arrow_to_numpy import to_arrays
from idefn_tf.data.files import Source, read_table
from idefn_tf.schema import Feature, Schema


@register("function")
def learn_vocabularies(schema: Schema, train: Source) -> dict[str, dict[str, Any]]:
    """Learns what the schema leaves open, from training rows only.

    Args:
        schema: the table's description.
        train: a DataFrame, Arrow table or files; it must fit in memory.

    Returns:
        By feature: {"kind": "vocabulary", "values": most frequent first, ties by value} or, for
        numbers to standardize or whose missing ones become the mean, {"kind": "numeric", "mean",
        "std"}, of the values that are there.

    Example:
        >>> from idefn_tf.data import learn_vocabularies
        >>> learned = learn_vocabularies(schema, table)
        >>> learned["item"]["values"], learned["price"]["mean"]
        ([0, 1, 2, 3], 5.75)
    """
    return vocabularies_of(schema, to_arrays(schema, read_table(train, schema), labels=False))


def vocabularies_of(schema: Schema, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Learns from rows in memory, as `learn_vocabularies` does.

    Args:
        schema: the table's description.
        arrays: the training rows, as `to_arrays` gives them.
    """
    learned: dict[str, dict[str, Any]] = {}
    for feature in schema.features:
        if feature.kind == "vocabulary" and feature.tied_to is None:
            values = _frequent(feature, *count_values(schema, feature, arrays))
            learned[feature.name] = {"kind": "vocabulary", "values": values}
        elif feature.needs_moments:
            numbers = arrays[feature.name].astype(np.float64)
            if feature.log1p:
                numbers = np.log1p(np.maximum(numbers, 0.0))
            numbers = numbers[np.isfinite(numbers)]
            learned[feature.name] = {
                "kind": "numeric",
                "mean": float(numbers.mean()) if numbers.size else 0.0,
                "std": float(numbers.std()) or 1.0 if numbers.size else 1.0,
            }
    return learned


def count_values(
    schema: Schema, feature: Feature, arrays: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values that are there of a feature and of those tied to it, and their counts."""
    tied = [f for f in schema.recorded if f.tied_to == feature.name]
    values = np.concatenate([arrays[f.name].ravel() for f in (feature, *tied)])
    absent: Any = b"" if feature.dtype == "string" else -1
    unique, counts = np.unique(values[values != absent], return_counts=True)
    return unique, counts


def _frequent(feature: Feature, unique: np.ndarray, counts: np.ndarray) -> list[Any]:
    keep = counts >= feature.min_count
    unique, counts = unique[keep], counts[keep]
    order = np.argsort(-counts, kind="stable")[: feature.max_size]
    return [v.decode() if isinstance(v, bytes) else int(v) for v in unique[order]]
