"""How the columns of prepared rows are encoded in Parquet's pages: least time, about equal size.

Values that repeat are coded by a dictionary, into which each value must be looked up. Lists of
whole numbers that lie close together are packed as differences instead (DELTA_BINARY_PACKED),
which takes half the time and spares readers the way through the dictionary. A dictionary's code
can become as short as the entropy H of the values, a packed difference takes about as many bits
as the range of the values::

    packed where  log2(greatest - least + 1) < 1.5 * H,   H = -sum of p * log2(p), in bits

so that ids that spread over 64 bits, or lists that mostly hold one value, keep their dictionary.
Numbers outside lists keep theirs, since not every reader (tensorflow-io) knows other pages.

Source: Apache Parquet, Parquet encoding definitions, DELTA_BINARY_PACKED; Lemire and Boytsov,
Decoding billions of integers per second through vectorization, 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Entries that are looked at.
_SAMPLE = 32_768
#: How much longer than a dictionary's code a packed difference may be.
_LONGER = 1.5
_CODEC = "zstd"
#: Packed differences are short already: what takes the least time.
_PACKED = {"encoding": "DELTA_BINARY_PACKED", "codec": "snappy"}


def page_encodings(rows: pa.RecordBatch) -> dict[str, Any]:
    """Returns the options of `pyarrow.parquet.ParquetWriter` for a file.

    Args:
        rows: its first, with all of its columns; row_id differs on each of them.
    """
    paths = {
        field.name: f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in rows.schema
    }
    packed = {paths[name] for name in paths if packs(rows.column(name))}
    coded = [path for name, path in paths.items() if name != "row_id" and path not in packed]
    return {
        # numbers that differ on every row need no dictionary
        "use_dictionary": coded or False,
        "column_encoding": dict.fromkeys(packed, _PACKED["encoding"]) or None,
        "compression": {p: _PACKED["codec"] if p in packed else _CODEC for p in paths.values()},
    }


def packs(column: pa.Array) -> bool:
    """Whether the entries of lists are packed as differences, rather than coded by a dictionary.

    Args:
        column: of any type; that of a file's first rows.
    """
    if not pa.types.is_list(column.type) or not pa.types.is_integer(column.type.value_type):
        return False
    entries = column.flatten().drop_null()
    if not len(entries):
        return False
    ends = pc.min_max(entries).as_py()
    width = np.log2(float(ends["max"] - ends["min"] + 1))
    counts = pc.value_counts(entries.slice(0, _SAMPLE)).field("counts").to_numpy()
    shares = counts / counts.sum()
    entropy = -float(np.sum(shares * np.log2(shares)))
    return bool(width < _LONGER * entropy)
