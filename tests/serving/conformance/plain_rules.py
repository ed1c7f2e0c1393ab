"""The rules for request values once more, plainly: no NumPy, no shortcuts, one value at a time.

Also the values to try them on. What the server reads quickly is held against this.
"""

import base64
import math
import struct
from typing import Any

from hypothesis import strategies as st

TYPES = ["float32", "float64", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64"]
TYPES += ["string", "bool"]
RANGES = {"int64": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)}


class RefusedError(Exception):
    """The plain rules refuse a value."""


def plain_leaf(value: Any, kind: str) -> Any:
    """One value by the rules of the fact sheet, written down once more without NumPy tricks."""
    if kind == "string":
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str):
            try:
                return base64.b64decode(
                    value["b64"] + "=" * (-len(value["b64"]) % 4), validate=True
                )
            except ValueError:
                raise RefusedError from None
        raise RefusedError
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise RefusedError
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError
    if kind == "float64":
        return float(value)
    if kind == "float32":
        try:
            return struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            return math.copysign(math.inf, value)
    low, high = RANGES.get(kind, (-(2**31), 2**31 - 1))
    if isinstance(value, float) or not low <= value <= high:
        raise RefusedError
    bits = {"int8": 8, "uint8": 8, "int16": 16}.get(kind)
    if bits is None:
        return value
    wrapped = value % 2**bits
    return wrapped - 2**bits if not kind.startswith("u") and wrapped >= 2 ** (bits - 1) else wrapped


def plain_tensor(value: Any, kind: str) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and leaves of a value; refused unless it is a rectangle."""
    if not isinstance(value, list):
        return (), [plain_leaf(value, kind)]
    parts = [plain_tensor(inner, kind) for inner in value]
    if len({shape for shape, _ in parts}) > 1:
        raise RefusedError
    inner = parts[0][0] if parts else ()
    return (len(value), *inner), [leaf for _, leaves in parts for leaf in leaves]


def plain_request(document: Any, kinds: dict[str, str]) -> dict[str, tuple[Any, list[Any]]]:
    """Shapes and leaves by input for a whole request."""
    if ("instances" in document) == ("inputs" in document):
        raise RefusedError

    def is_object(value: Any) -> bool:
        bytes_object = isinstance(value, dict) and list(value) == ["b64"]
        return isinstance(value, dict) and not (bytes_object and isinstance(value["b64"], str))

    if "inputs" in document:
        given_inputs = document["inputs"]
        if not is_object(given_inputs):
            if len(kinds) > 1:
                raise RefusedError
            given_inputs = dict.fromkeys(kinds, given_inputs)
        if not kinds.keys() <= given_inputs.keys():
            raise RefusedError
        return {name: plain_tensor(given_inputs[name], kind) for name, kind in kinds.items()}
    rows = document["instances"]
    if not isinstance(rows, list) or not rows:
        raise RefusedError
    if not is_object(rows[0]):
        if len(kinds) > 1 or any(map(is_object, rows)):
            raise RefusedError
        return {name: plain_tensor(rows, kind) for name, kind in kinds.items()}
    if any(not is_object(row) or row.keys() != kinds.keys() for row in rows):
        raise RefusedError
    return {name: plain_tensor([r[name] for r in rows], kind) for name, kind in kinds.items()}


leaves = st.one_of(
    st.integers(-300, 300),
    st.sampled_from([2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]),
    st.floats(width=32),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.just({"b64": "AP8="}),
    st.just({"b64": "@"}),
    st.just({"b64": 1}),
    st.just({}),
)
# mostly alike, as real requests are, so that the quick reading gets its share
alike_leaves = st.sampled_from(
    [
        st.integers(-100, 100),
        st.floats(width=32, allow_nan=False),
        st.text(max_size=3),
        st.booleans(),
    ]
).flatmap(lambda kind: st.lists(kind, min_size=1, max_size=4))
tensor_values = st.one_of(
    leaves,
    alike_leaves,
    st.lists(alike_leaves, min_size=1, max_size=3),
    st.lists(st.lists(leaves, max_size=3), max_size=3),
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=6),
)
kinds_of_inputs = st.dictionaries(
    st.sampled_from("abc"), st.sampled_from(TYPES), min_size=1, max_size=3
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, Any]]:
    kinds = dict(sorted(draw(kinds_of_inputs).items()))
    form = draw(st.sampled_from(["rows", "rows", "plain rows", "columns", "plain columns", "odd"]))
    names = list(kinds) if draw(st.integers(0, 9)) else [*kinds, "z"]
    if form == "rows":
        columns = {name: draw(alike_leaves | st.lists(tensor_values, max_size=4)) for name in names}
        count = min(map(len, columns.values()))
        rows = [{name: columns[name][index] for name in names} for index in range(count)]
        if rows and not draw(st.integers(0, 7)):
            rows.append(draw(st.sampled_from([{}, 1, [], {names[0]: 1}])))
        return kinds, {"instances": rows}
    if form == "plain rows":
        return kinds, {"instances": draw(tensor_values)}
    if form == "columns":
        return kinds, {"inputs": {name: draw(tensor_values) for name in names}}
    if form == "plain columns":
        return kinds, {"inputs": draw(tensor_values)}
    return kinds, draw(st.sampled_from([{}, {"instances": [1], "inputs": [1]}, {"instances": 3}]))
