"""An ONNX version in the making: graphs, tables and warm-up requests in a folder, replayed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from idefn_tf.export import warmup_records
from idefn_tf.export.onnx import onnx_graph, onnx_replay
from idefn_tf.export.onnx.onnx_scorer import (
    DATA_ENDING,
    HISTORY_MODEL,
    MODEL,
    SIGNATURES,
    OnnxScorer,
    describe_files,
)
from idefn_tf.export.scorer import Scorer
from idefn_tf.export.signatures import DEFAULT, WITH_HISTORY
from idefn_tf.history.snapshot import Snapshot
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema

if TYPE_CHECKING:
    from onnx import ModelProto

    from idefn_tf.calibration import Calibrator

#: Tables of more bytes than this lie in a file of their own: protobuf ends at 2 GiB.
INSIDE = 2**30
#: Smaller initializers stay in the graph; larger ones begin at a page, to be mapped.
_SMALL, _PAGE = 1024, 4096


def write(
    folder: Path,
    reference: Scorer,
    model: EntireSpaceModel,
    schema: Schema,
    calibrator: Calibrator | None,
    snapshot: Snapshot | None,
    arrays: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Writes a version's files and replays rows and warm-up requests through them.

    Args:
        folder: where to.
        reference: the SavedModel of the same model, which was compared with Python.
        model: the trained model.
        schema: of its raw features.
        calibrator: the fitted one behind "cvr_calibrated".
        snapshot: history to look up.
        arrays: rows to compare.

    Returns:
        What the model card says of it: format, files, signatures, check and software.

    Raises:
        ValueError: if an operator cannot be converted, or a score differs.
    """
    layer = None if calibrator is None else calibrator.to_layer()
    graphs = {MODEL: onnx_graph.build(model, schema, layer, snapshot)}
    signatures = {MODEL: [DEFAULT]}
    if snapshot is not None:
        graphs[HISTORY_MODEL] = onnx_graph.build(model, schema, layer)
        signatures[HISTORY_MODEL] = [WITH_HISTORY]
    elif schema.generated:
        signatures[MODEL].append(WITH_HISTORY)
    for name, graph in graphs.items():
        prop = graph.metadata_props.add()
        prop.key, prop.value = SIGNATURES, ",".join(signatures[name])
    if sum(_bytes(graph) for graph in graphs.values()) > INSIDE:
        _move_tables(list(graphs.values()), folder / f"{MODEL}{DATA_ENDING}")
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString())
    del graphs
    with OnnxScorer(folder) as scorer:
        checked = onnx_replay.check(scorer, reference, arrays, calibrator)
        known = list(scorer.signatures)
    _write_warm_up(folder, reference.path, known)
    return {
        "files": describe_files(folder),
        "signatures": known,
        "onnx": {**_software(), **checked},
    }


def _software() -> dict[str, Any]:
    import onnx
    import onnxruntime
    import tf2onnx

    named = {"onnx": onnx, "onnxruntime": onnxruntime, "tf2onnx": tf2onnx}
    return {name: module.__version__ for name, module in named.items()}


def _bytes(graph: ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in graph.graph.initializer)


def _move_tables(graphs: list[ModelProto], path: Path) -> None:
    """Moves large initializers to a file; what two graphs share by name and value lies there once.

    Source: onnx/docs/ExternalData.md.
    """
    from onnx.external_data_helper import set_external_data

    placed: dict[str, tuple[int, bytes]] = {}
    with path.open("wb") as file:
        for graph in graphs:
            for tensor in graph.graph.initializer:
                data = tensor.raw_data
                if len(data) < _SMALL:
                    continue
                at, same = placed.get(tensor.name, (-1, b""))
                if same != data:
                    file.write(bytes(-file.tell() % _PAGE))
                    at = file.tell()
                    file.write(data)
                    placed[tensor.name] = at, data
                set_external_data(tensor, path.name, offset=at, length=len(data))
                tensor.ClearField("raw_data")


def _write_warm_up(folder: Path, saved: Path, signatures: list[str]) -> None:
    """Keeps the records that an ONNX version can answer: those over tensors."""
    path = folder / warmup_records.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in warmup_records.read_records(saved):
            request = warmup_records.parse_record(data)
            if request is not None and request.signature in signatures:
                writer.write(data)
