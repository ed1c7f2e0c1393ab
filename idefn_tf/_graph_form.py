"""Structural hash of a traced graph: equal for two graphs that compute the same in the same way.

TensorFlow numbers functions, and Keras numbers layers, for as long as a process lives. So two
models of one form have graphs that differ in names alone. Here names are replaced by places.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

#: Attributes that say nothing of what a node computes: where it came from, and its gradient by a
#: number of this process.
_ASIDE = frozenset({"_user_specified_name", "_gradient_op_type"})
#: Operations that find a function of Python by a number.
_PYTHON = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
#: Attribute of operations whose kernels hold the state of a generator of random numbers.
_SEED = "seed2"
#: Operations by which a graph makes a queue, a table or a variable of its own.
_MADE = re.compile(
    r"Queue(V\d)?$|HashTable(OfTensors)?(V\d)?$|^(VarHandleOp|Barrier|Stack|StackV2)$"
)
#: Bytes of constants beyond which a graph has no form: who keeps its program keeps them, and a
#: vocabulary's look-up array is of one model.
LARGEST = 1 << 18
#: Attribute that says beside which node one lies.
_CLASS = "_class"
_COLOCATED = re.compile(rb"^loc:@(.*)$")


def graph_form(concrete: Any) -> str | None:
    """Returns the structural hash of a traced function, or None where it has none.

    Names of nodes, arguments and inner functions do not count; operations, attributes, constants,
    shapes, devices and the structure of arguments and results do. Gradients that would be taken
    through the function do not count; those that it takes itself are part of its graph. A graph
    that calls Python, whose operations hold a state, or that has large constants, has no hash.

    Args:
        concrete: what ``tf.function(...).get_concrete_function`` returns.

    Example:
        >>> from idefn_tf._graph_form import graph_form
        >>> def traced(factor, name):
        ...     program = tf.function(lambda x: tf.multiply(x, factor, name=name))
        ...     return program.get_concrete_function(tf.TensorSpec([2]))
        >>> first = graph_form(traced(2.0, "a"))
        >>> first == graph_form(traced(2.0, "b")), first == graph_form(traced(3.0, "a"))
        (True, False)
    """
    graph = concrete.graph
    if graph.deferred_external_captures or graph.function_captures.control:
        return None  # found by Python, or to be waited for, at every call
    definition = graph.as_graph_def(add_shapes=True)
    bodies = [definition.node, *(f.node_def for f in definition.library.function)]
    nodes = [node for body in bodies for node in body]
    if any(node.op in _PYTHON or _SEED in node.attr or _MADE.search(node.op) for node in nodes):
        return None
    constants = (node.attr["value"].tensor for node in nodes if node.op == "Const")
    if sum(tensor.ByteSize() for tensor in constants) > LARGEST:
        return None
    try:
        return _Form(definition).of(concrete)
    except TypeError:  # arguments or results that are no tensors
        return None


class _Form:
    """Writes a graph and the functions that it calls, one line a fact, into a hash."""

    def __init__(self, definition: Any) -> None:
        self._definition = definition
        self._known = {f.signature.name: f for f in definition.library.function}
        self._functions: dict[str, str] = {}
        self._hash = hashlib.sha256()

    def of(self, concrete: Any) -> str:
        nodes = self._definition.node
        names = {node.name: f"n{place}" for place, node in enumerate(nodes)}
        self._write("attributes", sorted(self._attributes(concrete.function_def.attr, names)))
        self._write("arguments", tf.nest.map_structure(_known, concrete.structured_input_signature))
        self._write("results", tf.nest.map_structure(_spec, concrete.structured_outputs))
        handles = {id(v.handle): (v.shape, v.dtype) for v in concrete.graph.variables}
        captured = [handles.get(id(tensor)) for tensor in concrete.captured_inputs]
        self._write("variables", captured)
        for kind in ("inputs", "outputs"):
            tensors = getattr(concrete, kind)
            self._write(kind, [_renamed(t.name, names) for t in tensors])
        self._write("after", sorted(names[op.name] for op in concrete.graph.control_outputs))
        self._nodes(nodes, names)
        written = 0
        while written < len(self._functions):  # functions call further ones
            self._function(list(self._functions)[written])
            written += 1
        return self._hash.hexdigest()

    def _write(self, *facts: Any) -> None:
        self._hash.update(repr(facts).encode())

    def _nodes(self, nodes: Iterable[Any], names: Mapping[str, str]) -> None:
        for node in nodes:
            op = self._name(node.op) if node.op in self._known else node.op
            inputs = [_renamed(name, names) for name in node.input]
            attributes = sorted(self._attributes(node.attr, names))
            self._write(names[node.name], op, node.device, inputs, attributes)

    def _function(self, name: str) -> None:
        function = self._known[name]
        signature = function.signature
        names = {arg.name: f"a{place}" for place, arg in enumerate(signature.input_arg)}
        names |= {node.name: f"n{place}" for place, node in enumerate(function.node_def)}
        self._write("function", self._functions[name])
        for args in (signature.input_arg, signature.output_arg):
            self._write([(a.type, a.type_attr, a.number_attr, a.is_ref) for a in args])
        self._write(signature.is_stateful, sorted(self._attributes(function.attr, names)))
        for place in range(len(signature.input_arg)):
            self._write(sorted(self._attributes(function.arg_attr[place].attr, names)))
        self._write(sorted(function.resource_arg_unique_id.items()))
        self._nodes(function.node_def, names)
        self._write([_renamed(function.ret[a.name], names) for a in signature.output_arg])
        self._write(sorted(names[node] for node in function.control_ret.values()))

    def _name(self, function: str) -> str:
        """Returns what an inner function is called here: by its place among them."""
        return self._functions.setdefault(function, f"f{len(self._functions)}")

    def _attributes(
        self, attributes: Mapping[str, Any], names: Mapping[str, str]
    ) -> Iterable[tuple[str, Any]]:
        for name in sorted(attributes):
            if name not in _ASIDE:
                value = attributes[name]
                if name == _CLASS:
                    yield name, [_colocated(text, names) for text in value.list.s]
                else:
                    yield name, self._attribute(value, names)

    def _attribute(self, value: Any, names: Mapping[str, str]) -> Any:
        if value.HasField("func"):
            return self._called(value.func, names)
        if value.HasField("list") and value.list.func:
            return [self._called(function, names) for function in value.list.func]
        return value.SerializeToString(deterministic=True)

    def _called(self, function: Any, names: Mapping[str, str]) -> Any:
        inner = self._name(function.name) if function.name in self._known else function.name
        return inner, sorted(self._attributes(function.attr, names))


def _renamed(name: str, names: Mapping[str, str]) -> str:
    """Returns "node:0", "node:output:0" or "^node" with the node's name replaced."""
    sign, plain = ("^", name[1:]) if name.startswith("^") else ("", name)
    node, colon, rest = plain.partition(":")
    return f"{sign}{names[node]}{colon}{rest}"


def _colocated(text: bytes, names: Mapping[str, str]) -> Any:
    found = _COLOCATED.match(text)
    return text if found is None else names.get(found[1].decode(), text)


def _spec(value: Any) -> Any:
    """Returns what a result is.

    Raises:
        TypeError: for what TensorFlow does not know.
    """
    plain = value is None or isinstance(value, (bool, bytes, float, int, str))
    return value if plain else tf.type_spec_from_value(value)


def _known(argument: Any) -> Any:
    """Returns what an argument is, if it is a tensor or a structure of tensors.

    Raises:
        TypeError: for any other, which may be written alike and be another.
    """
    if not isinstance(argument, tf.TypeSpec):
        raise TypeError(f"argument: must be of tensors, received {type(argument).__name__}")
    return argument
