"""A signature of a SavedModel: what goes in, what comes out, and the session's callable for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from serving.server import errors
from serving.server.runtime.stacked_arrays import StackedArrays
from serving.server.runtime.stacking import Stack, session_callable

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
DEFAULT = "serving_default"

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Attributes:
        key: Its name in requests and answers.
        tensor: Its name in the graph.
        dtype: Its TensorFlow type.
        type_name: The type's name in messages, as DataTypeString gives it ("float", "int64").
        shape: Its static shape with -1 for unknown sizes; None for unknown rank.
        type: The type's name in NumPy ("float32"), "string" for text.
    """

    key: str
    tensor: str
    dtype: tf.DType
    type_name: str
    shape: tuple[int, ...] | None
    type: str = ""

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape may be fed."""
        if self.shape is None:
            return True
        if len(shape) != len(self.shape):
            return False
        for want, got in zip(self.shape, shape, strict=True):  # noqa: SIM110 - asked per request
            if want not in (-1, got):
                return False
        return True

    @property
    def batched(self) -> bool:
        """Whether the first dimension counts rows and is free."""
        return bool(self.shape) and self.shape is not None and self.shape[0] == -1


_TYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


def _spec(key: str, info: Any) -> TensorSpec:
    dtype = tf.dtypes.as_dtype(info.dtype)
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(int(dim.size) for dim in info.tensor_shape.dim)
    shown = _TYPE_NAMES.get(dtype.name, dtype.name)
    return TensorSpec(key, info.name, dtype, shown, shape, dtype.name)


class Signature:
    """A runnable signature.

    Args:
        name: Its key in the SavedModel.
        definition: The SignatureDef.
        bounded: Whether its time depends on the shapes of its inputs only (it has no loops).

    Attributes:
        groups: The inputs' names, those that are fed as one array together, in feeding order.
        alike: The inputs' names, those of one type and shape together.
        feeds_alike: Whether `alike` are the groups, and rows come first in every tensor.
        stackable: Whether several requests have a meaning as one batch: every tensor counts rows
            first.
    """

    def __init__(self, name: str, definition: Any, bounded: bool = False) -> None:
        self.name = name
        self.bounded = bounded
        self.method_name = definition.method_name
        self.inputs = {key: _spec(key, definition.inputs[key]) for key in sorted(definition.inputs)}
        # the initialiser that TF2 models list as a signature has no inputs and an untyped output
        self.outputs = {
            key: _spec(key, definition.outputs[key])
            for key in sorted(definition.outputs)
            if self.inputs
        }
        alike: dict[tuple[str, tuple[int, ...] | None], list[str]] = {}
        for key, spec in self.inputs.items():
            alike.setdefault((spec.type, spec.shape), []).append(key)
        self.alike = [tuple(keys) for keys in alike.values()]
        specs = [*self.inputs.values(), *self.outputs.values()]
        rowwise = all(spec.batched for spec in specs)
        self.stackable = bool(self.inputs) and bool(self.outputs) and rowwise
        self._flat = all(spec.shape == (-1,) for spec in self.inputs.values())
        self.row_independent = False
        self.groups: tuple[tuple[str, ...], ...] = ()
        self.feeds_alike = False
        self._stacks: Sequence[Stack] = ()
        self._single: tuple[str, ...] = ()
        self._call: Callable[..., Any] | None = None
        self._call_loose: Callable[..., Any] | None = None

    def bind(self, session: tf.compat.v1.Session, stacks: Sequence[Stack] = ()) -> None:
        """Prepares the calls into a session.

        Args:
            session: Holds the graph and its variables.
            stacks: Inputs that are fed together.
        """
        self._stacks = stacks
        stacked = {key for stack in stacks for key in stack.keys}
        self._single = tuple(key for key in self.inputs if key not in stacked)
        singles = [
            session.graph.get_tensor_by_name(self.inputs[key].tensor) for key in self._single
        ]
        fetches = [spec.tensor for spec in self.outputs.values()]
        placeholders = [stack.placeholder for stack in stacks]
        self._call = session_callable(session, fetches, [*placeholders, *singles])
        parts = [part for stack in stacks for part in stack.parts]
        self._call_loose = session_callable(session, fetches, [*placeholders, *parts, *singles])
        self.groups = (*(stack.keys for stack in stacks), *((key,) for key in self._single))
        if self.stackable and set(self.groups) == set(self.alike):
            self.alike, self.feeds_alike = list(self.groups), True

    def bind_call(self, call: Callable[..., Any]) -> None:
        """Takes a function of all inputs in order that gives all outputs in order."""
        self._single = tuple(self.inputs)
        self._call = self._call_loose = call
        self.groups = tuple((key,) for key in self.inputs)

    @property
    def bound(self) -> bool:
        """Whether it can be run."""
        return self._call is not None

    def unbind(self) -> None:
        """Lets go of the session."""
        self._call = self._call_loose = None
        self._stacks = ()

    def check_shapes(self, arrays: Arrays) -> None:
        """Refuses an array whose shape the signature does not allow.

        TensorFlow Serving feeds it and leaves the graph to fail, or to broadcast it into a wrong
        answer; a Session in Python refuses it with these words.

        Raises:
            StatusError: INVALID_ARGUMENT.
        """
        if isinstance(arrays, StackedArrays):  # its reader has looked
            return
        if self._flat and all(array.ndim == 1 for array in arrays.values()):
            return
        for key, spec in self.inputs.items():
            shape = arrays[key].shape
            if not spec.accepts(shape):
                wanted = tuple(None if size == -1 else size for size in spec.shape or ())
                raise errors.invalid_argument(
                    f"Cannot feed value of shape {shape} for Tensor {spec.tensor}, "
                    f"which has shape {wanted}"
                )

    def row_shapes(self, arrays: Arrays) -> tuple[tuple[int, ...], ...] | None:
        """The shape of a row, group by group; None if inputs of a group differ in it."""
        if isinstance(arrays, StackedArrays):
            return arrays.shapes
        found = []
        for names in self.groups:
            shapes = {arrays[name].shape[1:] for name in names}
            if len(shapes) > 1:
                return None
            found.append(shapes.pop())
        return tuple(found)

    def run(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Runs the graph on one set of inputs.

        Args:
            arrays: One array per input.

        Returns:
            One array per output, by name; strings as object arrays of bytes.

        Raises:
            StatusError: The graph refused the values.
        """
        if isinstance(arrays, StackedArrays):
            return self._fetch(self._call, arrays.feeds)
        for stack in self._stacks:
            shape = arrays[stack.keys[0]].shape
            if any(arrays[key].shape != shape for key in stack.keys):
                return self._run_loose(arrays)
        return self.run_together([arrays])

    def run_together(self, batch: Sequence[Arrays]) -> dict[str, np.ndarray]:
        """Runs the graph once on the rows of several sets of inputs, one after the other.

        Args:
            batch: Sets whose arrays have the same inner shapes, and within a set the same number of
                rows. A single set may have inputs without rows, if those that are fed together have
                the same shape.

        Returns:
            The outputs for all rows.

        Raises:
            StatusError: The graph refused the values.
        """
        stacked = [arrays for arrays in batch if isinstance(arrays, StackedArrays)]
        if len(stacked) == len(batch):
            return self._fetch(self._call, StackedArrays.joined(stacked))
        feeds: list[np.ndarray] = []
        for stack in self._stacks:
            joined = np.concatenate([arrays[key] for key in stack.keys for arrays in batch])
            size = len(stack.keys)
            feeds.append(joined.reshape(size, len(joined) // size, *joined.shape[1:]))
        if len(batch) == 1:
            feeds += [batch[0][key] for key in self._single]
        else:
            feeds += [np.concatenate([arrays[key] for arrays in batch]) for key in self._single]
        return self._fetch(self._call, feeds)

    def _run_loose(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Every input by itself: their numbers of rows differ."""
        feeds = [stack.nothing for stack in self._stacks]
        feeds += [arrays[key] for stack in self._stacks for key in stack.keys]
        feeds += [arrays[key] for key in self._single]
        return self._fetch(self._call_loose, feeds)

    def _fetch(
        self, call: Callable[..., Any] | None, feeds: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        if call is None:
            raise errors.StatusError("UNAVAILABLE", f"Signature {self.name} is not loaded")
        try:
            values = call(*feeds)
        except tf.errors.OpError as error:
            raise errors.from_tensorflow(error) from None
        except (ValueError, TypeError) as error:
            raise errors.invalid_argument(str(error)) from None
        return dict(zip(self.outputs, map(_as_array, values), strict=True))


def _as_array(value: Any) -> np.ndarray:
    # A rank-0 string comes back as bytes, not as an array.
    if isinstance(value, np.ndarray):
        return value
    return np.asarray(value, object if isinstance(value, bytes) else None)


def metadata(signatures: Mapping[str, Any]) -> dict[str, Any]:
    """The signature map as TensorFlow Serving prints it: defaults written out, int64 as text.

    Args:
        signatures: SignatureDef by name.

    Returns:
        The value of "metadata" in the answer to GET .../metadata.
    """
    return {
        "signature_def": {
            "signature_def": {
                name: {
                    "inputs": {key: _tensor_info(v) for key, v in sorted(sig.inputs.items())},
                    "outputs": {key: _tensor_info(v) for key, v in sorted(sig.outputs.items())},
                    "method_name": sig.method_name,
                    "defaults": {},
                }
                for name, sig in sorted(signatures.items())
            }
        }
    }


def _tensor_info(info: Any) -> dict[str, Any]:
    return {
        "dtype": _enum_name(info),
        "tensor_shape": {
            "dim": [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim],
            "unknown_rank": info.tensor_shape.unknown_rank,
        },
        "name": info.name,
    }


def _enum_name(info: Any) -> str:
    return info.DESCRIPTOR.fields_by_name["dtype"].enum_type.values_by_number[info.dtype].name
