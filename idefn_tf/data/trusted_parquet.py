"""Which Parquet columns tensorflow-io may read: those it is known to read rightly.

The footer decides before the native reader opens a file, which may end the process on what it does
not know; a sample of values decides before the reader is trusted with the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from idefn_tf.data import object_store
from idefn_tf.schema import CLICK, CONVERSION, Schema

_NUMBERS = {"int8", "int16", "int32", "int64", "float", "double"}
_BY_ARROW = {"string", "large_string", "binary", "large_binary", "bool"}
# of values in plain and in dictionary pages, and of the levels beside them
_ENCODINGS = frozenset({"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"})
# rows of one of three spans of a file that are compared
_SAMPLE = 256


@dataclass(frozen=True)
class Plan:
    """Who reads which columns.

    Attributes:
        native: the columns that tensorflow-io reads.
        by_arrow: those that pyarrow reads, each with its dtype and the value put for a null.
    """

    native: tuple[str, ...]
    by_arrow: Mapping[str, tuple[str, Any]]


def plan(schema: Schema, files: Sequence[str], labels: bool, further: Sequence[str] = ()) -> Plan:
    """Divides the columns between tensorflow-io and pyarrow by the files' footers.

    `further` are labels beside click and conversion.

    Raises:
        ValueError: for a missing column, a list, a number with nulls, or pages of an encoding that
            tensorflow-io is not known to read.
    """
    wanted: dict[str, tuple[str, Any]] = {f.name: (f.dtype, f.fill) for f in schema.features}
    weighted = []
    kinds: dict[str, set[str]] = {}
    for file in files:
        metadata = pq.read_metadata(object_store.opened(file))
        found = {field.name: str(field.type) for field in metadata.schema.to_arrow_schema()}
        if labels:
            wanted |= {CLICK: ("float32", np.nan), CONVERSION: ("float32", np.nan)}
            wanted |= dict.fromkeys(further, ("float32", 0.0))
            weighted.append("sample_weight" in found)
        for name in [*wanted, *(["sample_weight"] if labels and weighted[-1] else [])]:
            if name not in found:
                raise ValueError(f"source: {file} has no column {name!r}, received {list(found)}")
            kind = found[name].removeprefix("dictionary<values=").partition(",")[0]
            if kind not in _NUMBERS | _BY_ARROW:
                raise ValueError(
                    f"reader: tensorflow-io reads plain numbers and text alone, and {name!r} of "
                    f"{file} is {found[name]}; use reader='pyarrow'."
                )
            dtype = wanted[name][0] if name in wanted else "float32"
            changed = dtype == "string" or (dtype == "int64" and kind in ("float", "double"))
            arrow = kind in _BY_ARROW or changed
            kinds.setdefault(name, set()).add("arrow" if arrow else "native")
            if not arrow:
                _check_numbers(file, name, metadata)
    if any(weighted):
        if not all(weighted):
            raise ValueError(
                "source: sample_weight must be in all files or in none, received it in "
                f"{sum(weighted)} of {len(weighted)}; use reader='pyarrow'."
            )
        wanted["sample_weight"] = ("float32", 1.0)
    by_arrow = {name: wanted[name] for name in wanted if "arrow" in kinds[name]}
    return Plan(tuple(name for name in wanted if name not in by_arrow), by_arrow)


def _check_numbers(file: str, name: str, metadata: pq.FileMetaData) -> None:
    for group in range(metadata.num_row_groups):
        for i in range(metadata.num_columns):
            column = metadata.row_group(group).column(i)
            if column.path_in_schema != name:
                continue
            check_encodings(file, name, column.encodings)
            statistics = column.statistics
            count = statistics.null_count if statistics is not None else None
            if count is None or count:
                raise ValueError(
                    f"reader: tensorflow-io shifts the values past a null, and column {name!r} of "
                    f"{file} has {'an unknown number of' if count is None else count} nulls; fill "
                    "them, or use reader='pyarrow'."
                )


def check_encodings(file: str, name: str, encodings: Collection[str]) -> None:
    """Checks how a column chunk's pages are encoded, as the footer says.

    Raises:
        ValueError: for an encoding that tensorflow-io is not known to read.
    """
    unknown = sorted(set(encodings) - _ENCODINGS)
    if unknown:
        raise ValueError(
            f"reader: the pages of a number must be plain or of a dictionary for tensorflow-io, "
            f"and column {name!r} of {file} has {', '.join(unknown)}; use reader='pyarrow'."
        )


def spans(rows: int) -> list[tuple[int, int]]:
    """Returns the first, middle and last rows of a file as (start, end), without overlap."""
    if rows <= 3 * _SAMPLE:
        return [(0, rows)] if rows else []
    middle = (rows - _SAMPLE) // 2
    return [(start, start + _SAMPLE) for start in (0, middle, rows - _SAMPLE)]


def compare(file: str, name: str, start: int, found: np.ndarray, right: np.ndarray) -> None:
    """Compares a column's values from row `start` on, as tensorflow-io and pyarrow read them.

    Raises:
        ValueError: naming the first row that differs, and both values.
    """
    equal = len(found) == len(right)
    wrong = 0
    if equal:
        same = (found == right) | ((found != found) & (right != right))
        equal, wrong = bool(same.all()), int(np.argmin(same)) if len(same) else 0
    if not equal:
        values = f"{len(found)} values for {len(right)}"
        if len(found) == len(right):
            values = f"{found[wrong]!r} for {right[wrong]!r}"
        raise ValueError(
            f"reader: tensorflow-io must give what pyarrow gives, and column {name!r} of {file} "
            f"differs from row {start + wrong} on: received {values}; use reader='pyarrow'."
        )
