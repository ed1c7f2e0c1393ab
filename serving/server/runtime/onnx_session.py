"""An ONNX version as a session: its signatures as TensorFlow Serving describes them, and calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
from serving.server.errors import StatusError

_PREDICT = "tensorflow/serving/predict"


class OnnxSession:
    """Runs an ONNX version in ONNX Runtime.

    Args:
        path: The version's folder.
        threads: Of one run; 0 leaves it to ONNX Runtime.

    Raises:
        ValueError: A file is not what the card says, or ONNX Runtime refuses it.
        ImportError: onnxruntime is missing.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self._scorer = OnnxScorer(path, threads)
        self.definitions = {name: self._define(name) for name in self._scorer.signatures}

    def call(self, signature: str, inputs: Sequence[str]) -> Callable[..., list[np.ndarray]]:
        """Returns the function from a signature's inputs, in this order, to its outputs by name."""

        def run(*feeds: np.ndarray) -> list[np.ndarray]:
            try:
                found = self._scorer.run(dict(zip(inputs, feeds, strict=True)), signature)
            except (ValueError, TypeError):
                raise
            except Exception as error:  # noqa: BLE001 - its errors have no common base
                raise StatusError("INTERNAL", f"{type(error).__name__}: {error}") from None
            return [found[name] for name in sorted(found)]

        return run

    def close(self) -> None:
        """Lets go of the graph."""
        self._scorer.close()

    def _define(self, name: str) -> Any:
        made = meta_graph_pb2.SignatureDef(method_name=_PREDICT)
        for key, kind in self._scorer.inputs(name).items():
            _describe(made.inputs[key], f"{name}_{key}:0", kind.name, kind.shape)
        for key in self._scorer.outputs(name):
            _describe(made.outputs[key], f"{key}:0", "float32", (-1,))
        return made


def _describe(info: Any, tensor: str, dtype: str, shape: Sequence[int]) -> None:
    info.name, info.dtype = tensor, tf.as_dtype(dtype).as_datatype_enum
    for size in shape:
        info.tensor_shape.dim.add(size=size)
