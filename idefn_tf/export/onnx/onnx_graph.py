"""The ONNX graph: a trained model traced for ONNX, converted, with its tables as initializers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from idefn_tf.export.history_tables import HistoryTables
from idefn_tf.export.onnx.key_tables import KeyTables, embeddings_from, marked
from idefn_tf.export.onnx.packages import import_packages
from idefn_tf.export.signatures import recorded, score_function, serving_inputs
from idefn_tf.features.column_lowering import quiet_deprecations
from idefn_tf.history.snapshot import Snapshot
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema

if TYPE_CHECKING:
    from onnx import ModelProto

#: What the graph's table inputs are called until they become initializers.
_TABLE = "embeddings_{}"


class OnnxGraph(NamedTuple):
    """A graph whose embedding tables are not in it yet: a message ends at 2 GiB.

    Attributes:
        model: the graph.
        tables: initializers to add, by name.
    """

    model: ModelProto
    tables: dict[str, np.ndarray]

    @property
    def bytes(self) -> int:
        """The size of all initializers."""
        inside = sum(len(tensor.raw_data) for tensor in self.model.graph.initializer)
        return inside + sum(table.nbytes for table in self.tables.values())


def build(
    model: EntireSpaceModel,
    schema: Schema,
    calibrator: Callable[[tf.Tensor], tf.Tensor] | None = None,
    snapshot: Snapshot | None = None,
) -> OnnxGraph:
    """Converts a model: raw features by name in, scores by name out, as the SavedModel has them.

    Args:
        model: a trained model.
        schema: of its raw features.
        calibrator: a layer from cvr to the calibrated cvr.
        snapshot: history to look up; the inputs are recorded features then.

    Returns:
        The graph, and its embedding tables beside it.

    Raises:
        ImportError: if a package of the extra ``onnx`` is missing.
        ValueError: if an operator of the model cannot be converted, naming it.
    """
    import_packages()
    model.build()
    features, keys = model.features, KeyTables()
    asked = schema if snapshot is None else recorded(schema)
    inputs = serving_inputs(asked)
    score = score_function(model, schema, calibrator)
    tables = {name: np.asarray(table.value) for name, table in features.tables.items()}
    named = {f"raw_{i}": name for i, name in enumerate(inputs)}
    specs = {
        key: tf.TensorSpec(inputs[name].shape, inputs[name].dtype, key)
        for key, name in named.items()
    }
    for name, table in tables.items():
        key = _TABLE.format(name)
        specs[key] = tf.TensorSpec(table.shape, tf.float32, key)
    history = None
    if snapshot is not None:
        history = HistoryTables(schema, snapshot, keys.index)

    def scores(**given: tf.Tensor) -> list[tf.Tensor]:
        raw = {name: given[key] for key, name in named.items()}
        if history is not None:
            raw |= history(raw)
        with embeddings_from(features, {name: given[_TABLE.format(name)] for name in tables}):
            found = score(**raw)
        outputs.extend(found)
        return [found[name] for name in found]

    outputs: list[str] = []
    with marked(features, keys):
        traced = tf.function(scores, autograph=False).get_concrete_function(**specs)
    with _quiet():
        frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    renamed = {f"{key}:0": name for key, name in named.items()}
    renamed |= {tensor.name: name for tensor, name in zip(frozen.outputs, outputs, strict=True)}
    made = _convert(frozen, renamed, keys)
    by_input = {_TABLE.format(name): table for name, table in tables.items()}
    given = {i.name: by_input.get(i.name.removesuffix(":0")) for i in made.graph.input}
    for at in reversed(range(len(made.graph.input))):
        if given[made.graph.input[at].name] is not None:
            del made.graph.input[at]
    return OnnxGraph(made, {name: table for name, table in given.items() if table is not None})


def _convert(frozen: Any, renamed: Mapping[str, str], keys: KeyTables) -> ModelProto:
    from onnx import defs
    from tf2onnx import optimizer, tfonnx

    from idefn_tf.export.onnx.operators import OPSET, handlers

    placeholders = {tensor.name for tensor in frozen.inputs}
    with tf.Graph().as_default() as graph, _quiet():
        tf.import_graph_def(frozen.graph.as_graph_def(add_shapes=True), name="")
        try:
            made = tfonnx.process_tf_graph(
                graph,
                opset=OPSET,
                custom_op_handlers=handlers(keys.keys),
                input_names=sorted(placeholders),
                output_names=[name for name in renamed if name not in placeholders],
                tensors_to_rename=dict(renamed),
            )
            made = optimizer.optimize_graph(made, catch_errors=False)
        except Exception as error:
            raise ValueError(
                f"model: must consist of operators that ONNX has, received one that was not "
                f"converted ({type(error).__name__}: {error});\nexport it as a SavedModel"
            ) from error
    model: ModelProto = made.make_model("idefn_tf", producer_name="idefn_tf")
    left = sorted({n.op_type for n in model.graph.node if not defs.has(n.op_type, n.domain)})
    if left:
        raise ValueError(
            f"model: must consist of operators that ONNX has, received {', '.join(left)};\nexport "
            "it as a SavedModel"
        )
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what is told by the replay: tf2onnx's log, TensorFlow's advice."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with quiet_deprecations():
            yield
    finally:
        logger.setLevel(level)
