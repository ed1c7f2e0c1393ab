"""A signature of a SavedModel: what goes in, what comes out, and the session's callable for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from serving.server import errors

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
DEFAULT = "serving_default"


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Attributes:
        key: Its name in requests and answers.
        tensor: Its name in the graph.
        dtype: Its TensorFlow type.
        type_name: The type's name in messages, as DataTypeString gives it ("float", "int64").
        shape: Its static shape with -1 for unknown sizes; None for unknown rank.
    """

    key: str
    tensor: str
    dtype: tf.DType
    type_name: str
    shape: tuple[int, ...] | None

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape may be fed."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            want in (-1, got) for want, got in zip(self.shape, shape, strict=True)
        )

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
    return TensorSpec(key, info.name, dtype, _TYPE_NAMES.get(dtype.name, dtype.name), shape)


class Signature:
    """A runnable signature.

    Args:
        name: Its key in the SavedModel.
        definition: The SignatureDef.
    """

    def __init__(self, name: str, definition: Any) -> None:
        self.name = name
        self.method_name = definition.method_name
        self.inputs = {key: _spec(key, definition.inputs[key]) for key in sorted(definition.inputs)}
        # the initialiser that TF2 models list as a signature has no inputs and an untyped output
        self.outputs = {
            key: _spec(key, definition.outputs[key])
            for key in sorted(definition.outputs)
            if self.inputs
        }
        self.row_independent = False
        self._call: Callable[..., Any] | None = None

    @property
    def stackable(self) -> bool:
        """Whether several requests have a meaning as one batch: every tensor counts rows first."""
        specs = [*self.inputs.values(), *self.outputs.values()]
        return bool(self.inputs) and bool(self.outputs) and all(spec.batched for spec in specs)

    def bind(self, session: tf.compat.v1.Session) -> None:
        """Prepares the callable: the session prunes and optimises the graph once, here."""
        self._call = session.make_callable(
            [spec.tensor for spec in self.outputs.values()],
            feed_list=[session.graph.get_tensor_by_name(s.tensor) for s in self.inputs.values()],
        )

    def unbind(self) -> None:
        """Lets go of the session."""
        self._call = None

    def check_shapes(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Refuses an array whose shape the signature does not allow.

        TensorFlow Serving feeds it and leaves the graph to fail, or to broadcast it into a wrong
        answer; a Session in Python refuses it with these words.

        Raises:
            StatusError: INVALID_ARGUMENT.
        """
        for key, spec in self.inputs.items():
            shape = arrays[key].shape
            if not spec.accepts(shape):
                wanted = tuple(None if size == -1 else size for size in spec.shape or ())
                raise errors.invalid_argument(
                    f"Cannot feed value of shape {shape} for Tensor {spec.tensor}, "
                    f"which has shape {wanted}"
                )

    def run(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the graph.

        Args:
            arrays: One array per input.

        Returns:
            One array per output, by name; strings as object arrays of bytes.

        Raises:
            StatusError: The graph refused the values.
        """
        if self._call is None:
            raise errors.StatusError("UNAVAILABLE", f"Signature {self.name} is not loaded")
        try:
            values = self._call(*[arrays[key] for key in self.inputs])
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
