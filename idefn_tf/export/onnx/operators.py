"""Operators: what tf2onnx converts wrongly, inexactly or not at all, said in ONNX.

========================  ===================================================================
TensorFlow                here
========================  ===================================================================
LookupTableFindV2         LabelEncoder over the keys of `KeyTables`, int64 or text
LowerBound, UpperBound    how many sorted numbers are less, or not greater
Log1p                     in float64, with the term that 1 + x loses
Sigmoid                   1 / (1 + exp(-x)); of a few outputs a row in float64
FloorDiv, FloorMod        of integers rounded down, for negative ones, too
Equal, NotEqual           of text
SelectV2                  Where; tf2onnx adds products, which NaN in either branch spoils
StringToHashBucketFast    of integers' text, `farm_hash`
SegmentSum, SegmentMax    ScatterElements, which costs what entries there are
========================  ===================================================================

Source: the operators' definitions in ONNX opset 18 and ai.onnx.ml 2, and TensorFlow's kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from idefn_tf.export.onnx.farm_hash import Maker, buckets

#: A sigmoid of at most so many outputs a row is one of scores, and computed in float64.
FEW = 8
#: The opset of the graph, the newest that tf2onnx 1.17 writes.
OPSET = 18

Handler = Callable[[Any, Any, str, Sequence[Any]], None]


class _Maker:
    """Makes nodes in place of one; the last of them takes over its outputs."""

    def __init__(self, graph: Any, node: Any) -> None:
        self._graph, self._outputs = graph, list(node.output)
        self._shapes, self._dtypes = node.output_shapes, node.output_dtypes
        self.inputs, self._name = list(node.input), node.name
        graph.remove_node(node.name)

    def constant(self, value: Any, dtype: Any) -> str:
        """Returns a constant."""
        name = f"{self._name}_{self._graph.get_nodes().__len__()}"
        made = self._graph.make_const(name + "_const", np.array(value, dtype))
        return str(made.output[0])

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Returns the first output of a new node."""
        made = self._graph.make_node(kind, list(inputs), attr=attributes)
        return str(made.output[0])

    def last(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> None:
        """Makes the node that gives what the one replaced gave."""
        self._graph.make_node(
            kind, list(inputs), outputs=self._outputs, attr=attributes, domain=domain,
            shapes=self._shapes, dtypes=self._dtypes, name=self._name,
        )  # fmt: skip

    def dtype(self, tensor: str) -> int:
        """Returns a tensor's type."""
        return int(self._graph.get_dtype(tensor))

    def shape(self, tensor: str) -> list[int] | None:
        """Returns a tensor's shape, -1 where it is not known."""
        found: list[int] | None = self._graph.get_shape(tensor)
        return found

    def cast(self, tensor: str, dtype: int) -> str:
        """Returns a tensor in another type."""
        return self.node("Cast", tensor, to=dtype)


def _look_up(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    holder = node.inputs[0]
    keys = arguments[0][holder.get_attr_value("shared_name").decode()]
    make = _Maker(graph, node)
    if not graph.find_output_consumers(holder.output[0]):
        graph.remove_node(holder.name)
    asked = make.inputs[1]
    text = make.dtype(asked) == TensorProto.STRING
    listed = [_text(key) for key in keys] if text else [int(key) for key in keys]
    attributes = {
        "keys_strings" if text else "keys_int64s": listed,
        "values_int64s": list(range(len(listed))),
        "default_int64": -1,
    }
    make.last("LabelEncoder", asked, domain="ai.onnx.ml", **attributes)


def _left(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    """Leaves a node to the handler of what reads it."""


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _bound(comparison: str) -> Handler:
    def handle(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
        make = _Maker(graph, node)
        ordered, values = make.inputs
        last, before = make.constant([2], np.int64), make.constant([1], np.int64)
        values = make.node("Unsqueeze", values, last)
        ordered = make.node("Unsqueeze", ordered, before)
        reached = make.cast(make.node(comparison, values, ordered), TensorProto.INT32)
        counted = make.node("ReduceSum", reached, last, keepdims=0)
        make.last("Cast", counted, to=make._dtypes[0])

    return handle


def _log1p(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    make = _Maker(graph, node)
    x = make.inputs[0]
    given = make.dtype(x)
    x = make.cast(x, TensorProto.DOUBLE)
    one = make.constant(1.0, np.float64)
    u = make.node("Add", x, one)
    lost = make.node("Div", make.node("Sub", make.node("Sub", u, one), x), u)
    exact = make.node("Sub", make.node("Log", u), lost)
    # of an infinite u, and of u = 0, the lost term is no number
    finite = make.node("Greater", u, make.constant(0.0, np.float64))
    bounded = make.node("Less", u, make.constant(np.finfo(np.float64).max, np.float64))
    plain = make.node("Log", u)
    make.last("Cast", make.node("Where", make.node("And", finite, bounded), exact, plain), to=given)


def _sigmoid(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    make = _Maker(graph, node)
    x = make.inputs[0]
    given, shape = make.dtype(x), make.shape(x)
    few = shape is not None and all(n > 0 for n in shape[1:]) and np.prod(shape[1:]) <= FEW
    wide = TensorProto.DOUBLE if few else given
    numpy_type = np.float64 if wide == TensorProto.DOUBLE else np.float32
    if wide != given:
        x = make.cast(x, wide)
    one = make.constant(1.0, numpy_type)
    below = make.node("Add", make.node("Exp", make.node("Neg", x)), one)
    if wide == given:
        make.last("Div", one, below)
    else:
        make.last("Cast", make.node("Div", one, below), to=given)


def _floor(remainder: bool) -> Handler:
    def handle(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
        make = _Maker(graph, node)
        x, y = make.inputs
        dtype = make.dtype(x)
        if dtype not in (TensorProto.INT32, TensorProto.INT64):
            floored = make.node("Floor", make.node("Div", x, y))
            if remainder:
                make.last("Sub", x, make.node("Mul", floored, y))
            else:
                make.last("Identity", floored)
            return
        rest = make.node("Mod", x, y, fmod=0)  # has the sign of y
        if remainder:
            make.last("Identity", rest)
        else:
            make.last("Div", make.node("Sub", x, rest), y)

    return handle


def _equal(opposite: bool) -> Handler:
    def handle(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
        text = graph.get_dtype(node.input[0]) == TensorProto.STRING
        constants = [found.is_const() for found in node.inputs]
        known = node.inputs[constants.index(True)].get_tensor_value() if any(constants) else None
        make = _Maker(graph, node)
        if not text:
            if opposite:
                make.last("Not", make.node("Equal", *make.inputs))
            else:
                make.last("Equal", *make.inputs)
            return
        if known is None:
            raise NotImplementedError("Equal: of two texts one must be a constant")
        flat = known if isinstance(known, str | bytes) else np.ravel(known)[0]
        asked = make.inputs[constants.index(False)]
        found = graph.make_node(
            "LabelEncoder", [asked], domain="ai.onnx.ml",
            attr={"keys_strings": [_text(flat)], "values_int64s": [0 if opposite else 1],
                  "default_int64": 1 if opposite else 0},
        ).output[0]  # fmt: skip
        make.last("Cast", found, to=TensorProto.BOOL)

    return handle


def _select(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    make = _Maker(graph, node)
    make.last("Where", *make.inputs)


def _hash(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
    writer = node.inputs[0]
    if writer.type != "AsString" or graph.get_dtype(writer.input[0]) != TensorProto.INT64:
        raise NotImplementedError("StringToHashBucketFast: of text, which ONNX cannot look into")
    values = writer.input[0]
    count = int(node.get_attr_value("num_buckets"))
    make = _Maker(graph, node)
    if not graph.find_output_consumers(writer.output[0]):
        graph.remove_node(writer.name)
    flat = make.node("Reshape", values, make.constant([-1], np.int64))
    found = buckets(Maker(make.node, make.constant), flat, count)
    make.last("Reshape", found, make.node("Shape", values))


def _segments(reduction: str, start: float) -> Handler:
    def handle(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
        make = _Maker(graph, node)
        values, rows = make.inputs
        dtype = make.dtype(values)
        numpy_type = {TensorProto.FLOAT: np.float32, TensorProto.INT64: np.int64}[dtype]
        rows = make.cast(rows, TensorProto.INT64)
        # rows are in order: the last one says how many there are, and without any there are none
        padded = make.node("Concat", make.constant([-1], np.int64), rows, axis=0)
        count = make.node(
            "Add", make.node("ReduceMax", padded, keepdims=1), make.constant([1], np.int64)
        )
        inner = make.node("Shape", values, start=1)
        shape = make.node("Concat", count, inner, axis=0)
        empty = make.node("Expand", make.constant(start, numpy_type), shape)
        ones = make.node("Shape", inner)
        wide = make.node("Expand", make.constant([1], np.int64), ones)
        column = make.node("Concat", make.constant([-1], np.int64), wide, axis=0)
        places = make.node("Expand", make.node("Reshape", rows, column), make.node("Shape", values))
        # not ScatterND, whose threads lose entries of one place in ONNX Runtime 1.32
        make.last("ScatterElements", empty, places, values, reduction=reduction, axis=0)

    return handle


def handlers(keys: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Handler, list[Any]]]:
    """Returns what tf2onnx takes as ``custom_op_handlers``.

    Args:
        keys: of the marked look-ups, by name.
    """
    lowest = float(np.finfo(np.float32).min)
    found: dict[str, tuple[Handler, list[Any]]] = {
        "LookupTableFindV2": (_look_up, ["LookupTableFindV2", keys]),
        "HashTableV2": (_left, []),
        "AsString": (_left, []),  # for the hash that reads it
    }
    plain = {
        "UpperBound": _bound("GreaterOrEqual"),
        "LowerBound": _bound("Greater"),
        "Log1p": _log1p,
        "Sigmoid": _sigmoid,
        "FloorDiv": _floor(remainder=False),
        "FloorMod": _floor(remainder=True),
        "Equal": _equal(opposite=False),
        "NotEqual": _equal(opposite=True),
        "SelectV2": _select,
        "StringToHashBucketFast": _hash,
        "SegmentSum": _segments("add", 0.0),
        "SegmentMax": _segments("max", lowest),
    }
    return found | {name: (handler, []) for name, handler in plain.items()}
