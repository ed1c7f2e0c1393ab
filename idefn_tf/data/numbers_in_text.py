"""A column of text as numbers: what `schema.cells` reads one by one, said to Arrow where it can."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.schema import cells

#: Text that Arrow reads exactly as `schema.cells` does.
_PLAIN = {
    "int64": "^-?[0-9]{1,18}$",
    "float32": "^-?[0-9]{1,18}([.][0-9]{1,18})?([eE][+-]?[0-9]{1,2})?$",
}
_ARROW = {"int64": pa.int64(), "float32": pa.float64()}


def numbers_in_text(text: pa.Array, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads trimmed text without nulls as int64 or float32.

    Returns:
        The numbers, and where text is none of that type.
    """
    plain = pc.match_substring_regex(text, _PLAIN[dtype])
    numbers = pc.if_else(plain, text, "0").cast(_ARROW[dtype]).to_numpy(zero_copy_only=False)
    values = np.array(numbers)
    wrong = np.abs(values) > cells.LARGEST_FLOAT32 if dtype == "float32" else values != values
    others = np.flatnonzero(~np.asarray(plain.to_numpy(zero_copy_only=False), bool))
    if len(others):
        values[others], wrong[others] = _one_by_one(text.take(pa.array(others)), dtype)
    return np.where(wrong, 0, values).astype(dtype), wrong


def _one_by_one(text: pa.Array, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads each text once: most columns repeat theirs."""
    encoded = text.dictionary_encode()
    known = np.zeros(len(encoded.dictionary), "int64" if dtype == "int64" else "float64")
    wrong = np.zeros(len(known), bool)
    for at, value in enumerate(encoded.dictionary.to_pylist()):
        number = cells.read_whole(value) if dtype == "int64" else cells.read_number(value)
        if number is None or (dtype == "float32" and abs(number) > cells.LARGEST_FLOAT32):
            wrong[at] = True
        else:
            known[at] = number
    places = encoded.indices.to_numpy(zero_copy_only=False)
    return known[places], wrong[places]
