"""Requests from a schema: rows become the named inputs that a served model takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from idefn_tf.schema import Schema, cells, lists
from serving.common import event_lists
from serving.common.missing_input import MissingInputError

#: One row, rows, or a pandas DataFrame.
Rows = Mapping[str, Any] | Sequence[Mapping[str, Any]] | Any
#: Columns of plain values by input name; bytes stand for text that is not UTF-8.
Columns = dict[str, list[Any]]

_DTYPES = {"DT_INT64": "int64", "DT_FLOAT": "float32", "DT_STRING": "string"}


@dataclass(frozen=True)
class Input:
    """One named input of a served model.

    Attributes:
        name: its name in requests.
        dtype: int64, float32 or string.
        length: padded length of a list; None for one value a row.
        fill: value that stands for a missing one; in a list, the padding.
        keys: names under which a row may hold it, the first one present counts.
        separator: splits text into a list.
        example: a valid value.
        missing: stands for an empty list; None leaves it empty.
        weights: the input that holds a list's weights.
        words: text that is no value: the schema's `missing_words`.
        sequence: the behaviour sequence whose events the list is a part of, oldest first; what is
            too long is cut to the newest.
    """

    name: str
    dtype: Literal["int64", "float32", "string"]
    length: int | None = None
    fill: int | float | str = ""
    keys: tuple[str, ...] = ()
    separator: str | None = None
    example: int | float | str = ""
    missing: int | float | str | None = None
    weights: str | None = None
    words: tuple[str, ...] = ()
    sequence: str | None = None

    def value(self, value: Any) -> Any:
        """Converts one row's value; a null becomes the fill, a list is read, padded or cut."""
        if self.length is None:
            return self.fill if self._missing(value) else self._scalar(value)
        if self.dtype == "float32":  # weights that nobody pairs with their entries
            return self.padded([self.fill if v is None else v for v in self.entries(value)])
        found, _ = lists.read(
            (self.name, ""), 0, self.entries(value), None, self.fill, self.missing
        )
        return self.padded(found)

    def entries(self, value: Any) -> list[Any]:
        """Converts a list's entries, None where one is absent."""
        return [None if self._missing(v) else self._scalar(v) for v in self._entries(value)]

    def padded(self, entries: list[Any]) -> list[Any]:
        """Pads or cuts a list to its length."""
        length = self.length or 0
        entries = entries[-length:] if self.sequence else entries[:length]
        return entries + [self.fill] * (length - len(entries))

    def column(self, values: Iterable[Any]) -> list[Any]:
        """Converts a column; integers and floats of NumPy pass without a look at each value."""
        dtype = getattr(values, "dtype", None)  # pandas' own types hold NA among integers
        kind = dtype.kind if isinstance(dtype, np.dtype) else ""
        if self.length is None and kind == "i" and self.dtype == "int64":
            return list(values.tolist())  # type: ignore[attr-defined]
        return [self.value(value) for value in values]

    def _entries(self, value: Any) -> list[Any]:
        if isinstance(value, str | bytes):
            text = value.decode() if isinstance(value, bytes) else value
            if self.separator and cells.in_brackets(text):
                raise ValueError(
                    f"{self.name}: must be a list or separated text, received {cells.shown(text)}; "
                    "give a list, or the entries without brackets and quotes"
                )
            return lists.split(text, self.separator)
        listed = cells.listed(value)
        if listed is not None:
            return listed
        value = cells.plain(value)
        return [] if cells.is_null(value) else [value]

    def _missing(self, value: Any) -> bool:
        value = _text(value) if isinstance(value, bytes) else value
        if isinstance(value, str):
            return cells.is_missing(value, self.dtype, self.words)
        return cells.is_null(value)

    def _scalar(self, value: Any) -> Any:
        value = cells.plain(value)
        if self.dtype == "string":
            return _text(value) if isinstance(value, bytes) else self._as_text(value)
        number = _text(value) if isinstance(value, bytes) else value
        if isinstance(number, str | Decimal):
            read = cells.read_whole if self.dtype == "int64" else cells.read_number
            number = read(str(number))
        if isinstance(number, int | float) and math.isfinite(number):
            if self.dtype == "float32" and abs(number) <= cells.LARGEST_FLOAT32:
                return float(number)
            exact = isinstance(number, int) or abs(number) <= cells.EXACT
            whole = exact and number == int(number) and cells.LEAST <= number <= cells.GREATEST
            if self.dtype == "int64" and whole:
                return int(number)
        raise self._wrong(value)

    def _as_text(self, value: Any) -> str:
        try:
            return cells.text_of(value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _wrong(self, value: Any) -> ValueError:
        of, cure = f" (a list of up to {self.length})", "convert it"
        if self.length is None:
            of, cure = "", f"convert it, or give null for {self.fill!r}"
        return ValueError(
            f"{self.name}: must be {self.dtype}{of}, received {cells.shown(value)}; {cure}"
        )


class RequestBuilder:
    """Turns rows into the columns of a request.

    Args:
        inputs: what the served model takes.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        if not inputs:
            raise ValueError("inputs: must name at least one input, received none")
        self.inputs = tuple(inputs)

    @classmethod
    def from_schema(cls, schema: Schema) -> RequestBuilder:
        """Reads the inputs from a schema: every feature that is not train-only."""
        inputs = []
        sequences = {name: found.name for found in schema.sequences for name in found.names}
        for feature in schema.features:
            if feature.train_only:
                continue
            listed = feature.multi_valued
            low = feature.minimum if feature.minimum is not None else 1
            inputs.append(
                Input(
                    feature.name,
                    feature.dtype,
                    feature.max_length,
                    lists.PADDING[feature.dtype] if listed else feature.fill,
                    (feature.name, feature.source),
                    lists.separator_of(feature) if listed else None,
                    "a" if feature.dtype == "string" else int(max(low, 1)),
                    lists.stand_in(feature) if listed else None,
                    None if feature.weights is None else feature.weights_name,
                    schema.missing_words,
                    sequences.get(feature.name),
                )
            )
            if feature.weights is not None:
                keys = (feature.weights_name, feature.weights)
                length, separator = feature.max_length, lists.separator_of(feature)
                inputs.append(
                    Input(
                        keys[0], "float32", length, 0.0, keys, separator, 1.0,
                        words=schema.missing_words,
                    )
                )  # fmt: skip
        return cls(inputs)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> RequestBuilder:
        """Reads the inputs of `serving_default` from the answer to GET .../metadata.

        Raises:
            ValueError: if an input is not int64, float32 or string of rank 1 or 2.
        """
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        found = signatures.get("serving_default", {}).get("inputs", {})
        inputs = []
        for name, info in sorted(found.items()):
            sizes = [int(d["size"]) for d in info["tensor_shape"].get("dim", [])]
            dtype = _DTYPES.get(info["dtype"])
            if dtype is None or len(sizes) not in (1, 2) or (len(sizes) == 2 and sizes[1] < 1):
                raise ValueError(
                    f"{name}: {info['dtype']} of shape {sizes} is no input of an exported model; "
                    "send the JSON yourself"
                )
            length = sizes[1] if len(sizes) == 2 else None
            # the model itself knows what a missing number becomes
            fill = math.nan if dtype == "float32" and length is None else lists.PADDING[dtype]
            example: Any = "a" if dtype == "string" else 1
            twin = f"{name}_weights" if length and f"{name}_weights" in found else None
            inputs.append(
                Input(name, dtype, length, fill, (name,), None, example, weights=twin)  # type: ignore[arg-type]
            )
        return cls(inputs)

    def columns(self, rows: Rows) -> Columns:
        """Converts rows; keys that the model does not take are dropped.

        Args:
            rows: one row, a list of rows, or a DataFrame.

        Returns:
            By input name, one value (or padded list) a row.

        Raises:
            MissingInputError: if a row lacks an input, with the JSON that is expected.
            ValueError: if a value has the wrong type, or there is no row.
        """
        if hasattr(rows, "columns") and hasattr(rows, "to_dict"):
            return self._from_frame(rows)
        listed = [rows] if isinstance(rows, Mapping) else list(rows)
        if not listed or not all(isinstance(row, Mapping) for row in listed):
            raise ValueError(
                f"rows: must be rows (mappings), at least one, received {rows!r:.200}; expected: "
                f"{json.dumps([self.example_row()])}"
            )
        values: dict[str, Any] = {}
        for item in self.inputs:
            keys = [self._key(item, row, i) for i, row in enumerate(listed)]
            values[item.name] = [row[key] for row, key in zip(listed, keys, strict=True)]
        return self._converted(values)

    def _from_frame(self, frame: Any) -> Columns:
        if not len(frame):
            raise ValueError("rows: must hold at least one row, received an empty DataFrame")
        names = dict.fromkeys(frame.columns)
        return self._converted({i.name: frame[self._key(i, names, 0)] for i in self.inputs})

    def _converted(self, values: Mapping[str, Iterable[Any]]) -> Columns:
        """Converts columns of raw values, weighted lists together with their weights."""
        columns: Columns = {item.name: [] for item in self.inputs}
        inputs = {item.name: item for item in self.inputs}
        paired = {item.weights for item in self.inputs}
        for item in self.inputs:
            if item.weights is not None:
                _add_weighted(columns, item, inputs[item.weights], values)
            elif item.sequence is not None:
                if not columns[item.name]:
                    parts = [i for i in self.inputs if i.sequence == item.sequence]
                    _add_events(columns, parts, values)
            elif item.name not in paired:
                columns[item.name] = item.column(values[item.name])
        return columns

    def _key(self, item: Input, row: Mapping[str, Any], at: int) -> str:
        for key in item.keys:
            if key in row:
                return key
        missing = [i.name for i in self.inputs if not any(key in row for key in i.keys)]
        raise MissingInputError.of(at, missing, row, self.example_row())

    def example_row(self) -> dict[str, Any]:
        """Returns one valid row."""
        return {
            item.name: item.example if item.length is None else item.value([item.example])
            for item in self.inputs
        }

    def example_body(self) -> dict[str, Any]:
        """Returns a valid body of a predict request, in columnar form."""
        return {"inputs": {name: [value] for name, value in self.example_row().items()}}


def _add_weighted(
    columns: Columns, item: Input, twin: Input, values: Mapping[str, Iterable[Any]]
) -> None:
    names = (item.name, twin.name)
    pairs = zip(values[item.name], values[twin.name], strict=True)
    for row, (value, weight) in enumerate(pairs):
        entries, weights = item.entries(value), twin.entries(weight)
        found = lists.read(names, row, entries, weights, item.fill, item.missing)
        columns[item.name].append(item.padded(found[0]))
        columns[twin.name].append(twin.padded(list(found[1] or [])))


def _add_events(
    columns: Columns, parts: Sequence[Input], values: Mapping[str, Iterable[Any]]
) -> None:
    names, fills = [part.name for part in parts], [part.fill for part in parts]
    for row, event in enumerate(zip(*(values[name] for name in names), strict=True)):
        entries = [part.entries(value) for part, value in zip(parts, event, strict=True)]
        found = event_lists.side_by_side(names, row, entries, fills)
        for part, listed in zip(parts, found, strict=True):
            columns[part.name].append(part.padded(listed))


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
