#!/usr/bin/env bash
# ONNX Runtime: ScatterND with reduction="add" loses additions where an index comes again; ScatterElements does not.
#
# Guess:  reduction="add" is there for indices that come again (it is the gradient of a look-up, or a segment sum):
#         4,096 rows of ones added at 4 places, 1,024 times each, give 1,024 everywhere.
# Found:  onnxruntime 1.32.0 on the CPU, onnx 1.17.0, several threads: many runs of one session give less than 1,024
#         at some places, other ones each time. With intra_op_num_threads=1 every run is right, and so is
#         ScatterElements of the same numbers with several threads.
# Cure:   ScatterElements with the same reduction, or one thread.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.17.0 numpy==1.26.4
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

PLACES, TIMES, WIDTH, RUNS = 4, 1024, 1024, 200
rng = np.random.default_rng(0)
order = rng.permutation(np.repeat(np.arange(PLACES), TIMES))


def model(kind, index_shape):
    names = {"data": (TensorProto.FLOAT, [PLACES, WIDTH]), "index": (TensorProto.INT64, index_shape)}
    names["updates"] = (TensorProto.FLOAT, [len(order), WIDTH])
    given = [helper.make_tensor_value_info(n, *form) for n, form in names.items()]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [PLACES, WIDTH])
    node = helper.make_node(kind, list(names), ["y"], reduction="add")
    graph = helper.make_graph([node], "one", given, [result])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def wrong_runs(kind, index, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model(kind, list(index.shape)), options, ["CPUExecutionProvider"])
    feed = {"data": np.zeros([PLACES, WIDTH], np.float32), "index": index}
    feed["updates"] = np.ones([len(order), WIDTH], np.float32)
    return sum(bool((session.run(None, feed)[0] != TIMES).any()) for _ in range(RUNS))


pairs = order[:, None].astype(np.int64)
everywhere = np.repeat(pairs, WIDTH, axis=1)
found = {
    "ScatterND, 2 threads": wrong_runs("ScatterND", pairs, 2),
    "ScatterND, 1 thread": wrong_runs("ScatterND", pairs, 1),
    "ScatterElements, 2 threads": wrong_runs("ScatterElements", everywhere, 2),
}
print({name: f"{wrong} of {RUNS} runs wrong" for name, wrong in found.items()})
assert found["ScatterND, 1 thread"] == found["ScatterElements, 2 threads"] == 0
assert found["ScatterND, 2 threads"] > 0, "ScatterND adds everything"
PY
