"""Triton's model configuration: config.pbtxt beside an ONNX model's versions."""

from __future__ import annotations

from pathlib import Path

from idefn_tf._files import atomic_path
from idefn_tf.export.onnx.onnx_scorer import MODEL, OnnxScorer

#: Where it lies in a model's folder.
FILE = "config.pbtxt"
#: How a file begins that was written here and may be written anew.
HEAD = "# Written by idefn_tf's export; a file without this line is left alone.\n"
_TYPES = {"int64": "TYPE_INT64", "float32": "TYPE_FP32", "string": "TYPE_STRING"}


def config_text(version: Path) -> str:
    """Returns the configuration of a version's model.

    Inputs and outputs have the shapes of the SavedModel, rows first, so Triton is told of no
    batches (``max_batch_size: 0``) and takes any number of rows in a request.

    Source: NVIDIA Triton Inference Server, model_configuration.md and model_config.proto.
    """
    with OnnxScorer(version) as scorer:
        inputs = [_tensor(n, _TYPES[i.name], i.shape) for n, i in scorer.inputs().items()]
        outputs = [_tensor(name, _TYPES["float32"], (-1,)) for name in scorer.outputs()]
    return (
        f'{HEAD}name: "{version.resolve().parent.name}"\nbackend: "onnxruntime"\n'
        f'default_model_filename: "{MODEL}"\nmax_batch_size: 0\n'
        f"input [\n{_joined(inputs)}]\noutput [\n{_joined(outputs)}]\n"
    )


def write_config(version: Path) -> tuple[bool, Path]:
    """Writes config.pbtxt into the folder of a version's model.

    Args:
        version: the published version.

    Returns:
        Whether it was written (one that was edited stays), and its path.
    """
    path = version.parent / FILE
    if path.is_file() and not path.read_text(encoding="utf-8").startswith(HEAD):
        return False, path
    text = config_text(version)
    with atomic_path(path) as sibling:
        sibling.write_text(text, encoding="utf-8")
    return True, path


def _tensor(name: str, kind: str, shape: tuple[int, ...]) -> str:
    return f'  {{ name: "{name}" data_type: {kind} dims: [ {", ".join(map(str, shape))} ] }}'


def _joined(tensors: list[str]) -> str:
    return ",\n".join(tensors) + "\n"
