"""Logging propensity: the probability with which each row was shown, read and checked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from idefn_tf._rules import nearest
from idefn_tf.data.convert import Place, read
from idefn_tf.data.files import column_values
from idefn_tf.schema import Schema
from idefn_tf.schema.labels import EXPOSURE_PROBABILITY


def exposure_probabilities(schema: Schema, table: pa.Table, first_row: int = 0) -> np.ndarray:
    """Returns the probability of showing each row, by `labels.exposure_probability`.

    It is no part of any batch: estimates of other policies alone read it.

    Args:
        schema: names the column, or the constant.
        table: of raw rows, or the report table of prepared ones.
        first_row: the number of the table's first row, for errors.

    Returns:
        float64 [n], in (0, 1].

    Raises:
        ValueError: if the schema names none, the column is not there, or a cell of it is no such
            probability.

    Example:
        >>> from idefn_tf.data import exposure_probabilities, read_table
        >>> from idefn_tf.schema import Schema
        >>> user = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
        >>> labels = {"click": "c", "conversion": "b", "exposure_probability": "p"}
        >>> shown = Schema.parse({"name": "shop", "labels": labels, "features": [user]})
        >>> exposure_probabilities(shown, read_table(pd.DataFrame({"p": [0.5, 0.25]}))).tolist()
        [0.5, 0.25]
    """
    given = schema.labels.exposure_probability
    if given is None:
        raise ValueError(
            "labels.exposure_probability: must be the column or the constant with which rows were "
            "shown, received none;\nadd it to the schema: without it no other policy can be valued"
        )
    if not isinstance(given, str):
        return np.full(table.num_rows, float(given))
    names = table.column_names
    name = next((n for n in (given, EXPOSURE_PROBABILITY) if n in names), None)
    if name is None:
        raise ValueError(
            f"source: must hold the column {given!r} of labels.exposure_probability, received "
            f"{names}{nearest(given, names)};\nadd it, or prepare the rows anew with this schema"
        )
    rule = f"column {name!r} must hold probabilities above 0 and at most 1"
    cure = "write the probability with which the row was shown, or leave out the row"
    column = column_values(table, name)
    values, missing = read(
        column, Place(name, "float32", schema.missing_words, first_row, rule, cure)
    )
    found = values.astype(np.float64)
    wrong = missing | ~((found > 0.0) & (found <= 1.0))
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = "a missing value" if missing[row] else f"{found[row]:g}"
        raise ValueError(
            f"source: {rule}, received {shown} in row {first_row + row} "
            f"({int(wrong.sum())} of {len(wrong)} rows);\n{cure}"
        )
    return found
