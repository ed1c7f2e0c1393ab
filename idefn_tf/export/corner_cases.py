"""Made requests that visit the corners of every feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from idefn_tf.export.scorer import Arrays
from idefn_tf.export.signatures import serving_schema
from idefn_tf.features import Field
from idefn_tf.schema import Feature, Schema


def edge_rows(schema: Schema, fields: Sequence[Field], rows: int = 64, seed: int = 0) -> Arrays:
    """Makes requests that visit the corners of every feature.

    Known and unknown values, absent ones, ids out of range, numbers at and around every boundary,
    lists of every length, the first ones empty, with weights of zero. The lists of a behaviour
    sequence have one length in a row; some rows have all of its events, some one event repeated.

    Args:
        schema: of the raw features.
        fields: of the model's feature layer; they know the vocabularies.
        rows: how many.
        seed: of the draw.

    Returns:
        What `request_arrays` gives for a table.
    """
    rng = np.random.default_rng(seed)
    known = {field.name: field for field in fields}
    sequences = {name: found for found in schema.sequences for name in found.names}
    drawn_lengths: dict[str, np.ndarray] = {}
    made: Arrays = {}
    for feature in serving_schema(schema).features:
        values = _corners(feature, known.get(feature.name))
        sequence = sequences.get(feature.name)
        if sequence is not None:  # every event has all of its parts
            values = [value for value in values if value not in (-1, b"")]
        kind: Any = object if feature.dtype == "string" else feature.dtype
        pool = np.empty(len(values), kind)
        pool[:] = values
        if not feature.multi_valued:
            made[feature.name] = pool[rng.integers(0, len(pool), rows)]
            continue
        length = feature.max_length or 1
        few = max(rows // 16, 1)
        lengths = rng.integers(0, length + 1, rows)
        lengths[:few] = 0  # what an empty list means must not be left to the draw
        drawn = pool[rng.integers(0, len(pool), (rows, length))]
        if sequence is not None:
            lengths = drawn_lengths.setdefault(sequence.name, lengths)
            lengths[few : 3 * few] = length
            drawn[2 * few : 3 * few] = drawn[2 * few : 3 * few, :1]
        inside = np.arange(length) < lengths[:, None]
        made[feature.name] = np.where(inside, drawn, b"" if feature.dtype == "string" else -1)
        made[feature.name] = made[feature.name].astype(kind)
        if feature.weights is not None:
            weights = rng.choice([0.0, 0.25, 1.0, 3.0], (rows, length)) * inside
            made[feature.weights_name] = weights.astype(np.float32)
    return made


def _corners(feature: Feature, field: Field | None) -> list[Any]:
    """Returns values of one feature worth trying, the fill among them."""
    if feature.dtype == "string":
        values = list(field.values[:50]) if field else []
        texts = [*values, "", "never seen", "Ünïcode 值", feature.fill]
        return [str(text).encode() for text in texts]
    if feature.kind in ("numeric", "bucketized"):
        cuts = np.asarray(feature.boundaries or (0.0, 1.0, 1e3), np.float64)
        around = [*cuts, *(cuts - 1), *(cuts + 1), -1e6, 1e6, float(feature.fill)]
        if feature.dtype == "int64":
            return [int(value) for value in around]
        return [*around, *(cuts + 1e-3), float("nan")]
    values = [int(v) for v in field.values[:50]] if field else []
    near = [v + step for v in values[:5] for step in (-1, 1) if abs(v) < 2**63 - 1]
    bound = feature.num_buckets or 10
    large = [2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
    return [*values, *near, 0, 1, bound - 1, bound, -1, -2, *large, int(feature.fill)]
