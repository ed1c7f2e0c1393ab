"""An ONNX version in the making: graphs, tables and warm-up requests in a folder, replayed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import tensorflow as tf

from idefn_tf.export import warmup_records
from idefn_tf.export.onnx import onnx_graph, onnx_replay
from idefn_tf.export.onnx.onnx_graph import OnnxGraph
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
    from onnx import TensorProto

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
        said = graph.model.metadata_props.add()
        said.key, said.value = SIGNATURES, ",".join(signatures[name])
    save(graphs, folder)
    del graphs
    with OnnxScorer(folder) as scorer:
        numbers = {field.name for field in model.features.fields if field.numeric}
        checked = onnx_replay.check(scorer, reference, arrays, calibrator, numbers)
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


def save(graphs: Mapping[str, OnnxGraph], folder: Path) -> None:
    """Writes graphs into a folder, tables in them, or all in one file where they are large.

    Args:
        graphs: by file name; they are changed.
        folder: where to.
    """
    large = sum(graph.bytes for graph in graphs.values()) > INSIDE
    path = folder / f"{MODEL}{DATA_ENDING}"
    with path.open("wb") if large else contextlib.nullcontext() as file:
        move = None if file is None else TableFile(file, path.name)
        for name, graph in graphs.items():
            _add_tables(graph, move)
            (folder / name).write_bytes(graph.model.SerializeToString())


class TableFile:
    """External data of ONNX: values of initializers, each from the beginning of a page.

    A table that several graphs read under one name lies there once.

    Source: onnx/docs/ExternalData.md.
    """

    def __init__(self, file: BinaryIO, location: str) -> None:
        self._file, self._location = file, location
        self._placed: dict[tuple[str, bytes], int] = {}

    def place(self, tensor: TensorProto, values: Any) -> None:
        """Writes a tensor's values, little endian, and says in the tensor where they lie."""
        data = memoryview(values).cast("B")
        key = tensor.name, hashlib.sha256(data).digest()
        if key not in self._placed:
            self._file.write(bytes(-self._file.tell() % _PAGE))
            self._placed[key] = self._file.tell()
            self._file.write(data)
        found = {"location": self._location, "offset": self._placed[key], "length": data.nbytes}
        tensor.ClearField("raw_data")
        tensor.data_location = tensor.EXTERNAL
        for name, value in found.items():
            tensor.external_data.add(key=name, value=str(value))


def _add_tables(graph: OnnxGraph, move: TableFile | None) -> None:
    from onnx import numpy_helper

    initializers = graph.model.graph.initializer
    if move is not None:
        for tensor in initializers:
            if len(tensor.raw_data) > _SMALL:
                move.place(tensor, tensor.raw_data)
    for name, table in graph.tables.items():
        if move is None:
            initializers.append(numpy_helper.from_array(table, name))
        else:
            tensor = initializers.add(name=name, dims=table.shape)
            tensor.data_type = tensor.FLOAT
            move.place(tensor, np.ascontiguousarray(table, "<f4"))


def _write_warm_up(folder: Path, saved: Path, signatures: list[str]) -> None:
    """Keeps the records that an ONNX version can answer: those over tensors."""
    path = folder / warmup_records.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in warmup_records.read_records(saved):
            request = warmup_records.parse_record(data)
            if request is not None and request.signature in signatures:
                writer.write(data)
