"""Feeds like inputs as one array: half the cost of a call with many features.

A session spends more on each fed tensor than on computing a small model. Inputs of one type and
shape are therefore fed stacked, as one placeholder of shape [number of inputs, ...], and taken
apart in the graph: while a SavedModel's graph is imported, its placeholders are replaced by the
parts.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2

_SCOPE = "idefn_tf_serving"
_LOOPS = {"While", "StatelessWhile", "Enter", "For", "PyFunc", "PyFuncStateless", "EagerPyFunc"}


@dataclasses.dataclass(frozen=True)
class Stack:
    """Inputs of a signature that are fed together.

    Attributes:
        keys: Their names, in the order of the first dimension.
        placeholder: The stacked tensor.
        parts: The tensors it is taken apart into; a session can be fed with them as well, together
            with `nothing` for the placeholder, which control dependencies may still ask for.
        nothing: An empty array for the placeholder.
    """

    keys: tuple[str, ...]
    placeholder: tf.Tensor
    parts: tuple[tf.Tensor, ...]
    nothing: np.ndarray


@dataclasses.dataclass(frozen=True)
class Group:
    """Inputs that can be stacked: their names, tensors, type and shape."""

    keys: tuple[str, ...]
    tensors: tuple[str, ...]
    dtype: tf.DType
    shape: tuple[int | None, ...]


def meta_graph(path: Path, tags: set[str]) -> Any:
    """Reads a SavedModel's MetaGraphDef.

    Args:
        path: The SavedModel's folder.
        tags: The tags of the graph to be loaded.

    Returns:
        The graph; an empty one if it cannot be read here (the loader then says why).
    """
    with contextlib.suppress(OSError, message.DecodeError):
        model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        for graph in model.meta_graphs:
            if set(graph.meta_info_def.tags) == tags:
                return graph
    return meta_graph_pb2.MetaGraphDef()


def has_loops(graph: Any) -> bool:
    """Whether a graph can run for longer on some values than on others of the same shape.

    Args:
        graph: A MetaGraphDef.
    """
    functions = (function.node_def for function in graph.graph_def.library.function)
    return any(node.op in _LOOPS for nodes in (graph.graph_def.node, *functions) for node in nodes)


def groups(graph: Any) -> dict[str, list[Group]]:
    """Finds the inputs that can be stacked, for each signature.

    Args:
        graph: A MetaGraphDef.

    Returns:
        Groups of two or more inputs by signature.
    """
    placeholders = {f"{node.name}:0" for node in graph.graph_def.node if node.op == "Placeholder"}
    uses = collections.Counter(
        info.name
        for signature in graph.signature_def.values()
        for info in signature.inputs.values()
    )
    found: dict[str, list[Group]] = {}
    for name, signature in graph.signature_def.items():
        alike: dict[tuple[int, tuple[int | None, ...]], list[tuple[str, str]]] = {}
        for key, info in sorted(signature.inputs.items()):
            dims = tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim)
            if info.name not in placeholders or uses[info.name] != 1:
                continue
            if info.tensor_shape.unknown_rank or not dims or dims[0] is not None:
                continue
            alike.setdefault((info.dtype, dims), []).append((key, info.name))
        found[name] = [
            Group(
                tuple(key for key, _ in members),
                tuple(tensor for _, tensor in members),
                tf.dtypes.as_dtype(kind),
                dims,
            )
            for (kind, dims), members in alike.items()
            if len(members) > 1
        ]
    return found


def build(
    planned: Mapping[str, list[Group]],
) -> tuple[dict[str, list[Stack]], dict[str, tf.Tensor]]:
    """Makes the stacked placeholders in the current graph.

    Args:
        planned: What `groups` found.

    Returns:
        The stacks by signature, and the input map to import the SavedModel's graph with.
    """
    stacks: dict[str, list[Stack]] = {}
    replaced: dict[str, tf.Tensor] = {}
    with tf.name_scope(_SCOPE):
        for name, listed in planned.items():
            stacks[name] = []
            for group in listed:
                size = len(group.keys)
                placeholder = tf.compat.v1.placeholder(group.dtype, [size, *group.shape])
                parts = tuple(tf.unstack(placeholder, num=size))
                inner = [0 if dim is None else dim for dim in group.shape]
                nothing = np.zeros([size, *inner], group.dtype.as_numpy_dtype)
                stacks[name].append(Stack(group.keys, placeholder, parts, nothing))
                replaced.update(zip(group.tensors, parts, strict=True))
    return stacks, replaced


def session_callable(
    session: tf.compat.v1.Session, fetches: Sequence[str], feeds: Sequence[tf.Tensor]
) -> Callable[..., Any]:
    """Returns a function of arrays in the order of `feeds` that gives those of `fetches`.

    `Session.make_callable` reads feeds and fetches anew in every call, which takes longer than a
    small model; a callable made from options has read them once. Arrays must have the feeds' types.

    Args:
        session: Holds the graph and its variables.
        fetches: Names of tensors.
        feeds: Tensors.
    """
    options = config_pb2.CallableOptions(fetch=fetches, feed=[tensor.name for tensor in feeds])
    made: Callable[..., Any] = session._make_callable_from_options(options)
    return made
