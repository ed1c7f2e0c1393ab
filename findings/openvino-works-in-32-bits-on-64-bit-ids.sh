#!/usr/bin/env bash
# OpenVINO: an ONNX model whose ids are int64 hashes their lower 32 bits, and a minute between two doubles is 0.
#
# Guess:  the types are the model's: int64 in, int64 kept, or the compilation refuses what the device cannot do.
# Found:  openvino 2026.4.1 on the CPU, execution mode ACCURACY, inference precision f32, onnx 1.18.0: Identity of
#         2^40 + 5 is 5, of 10^12 it is -727379968. Mod(id, 1000), the bucket of a look-up, is another one for 998 of
#         1,000 ids of 13 digits, so they have other embeddings; ONNX Runtime has the right one for all. Users
#         5, 2^32 + 5 and 2^40 + 5 are one user. 1700000060 - 1700000000 as doubles is 0 for 60, and time in
#         milliseconds compared with a constant is another answer. The input is declared int64 and double and is taken
#         as such. No message. (The docs of the device list i32 and f32 among its types.)
# Cure:   hash, subtract and compare outside; give the model buckets and differences.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    openvino==2026.4.1 onnx==1.18.0 onnxruntime==1.32.0 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

core = openvino.Core()
core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"})


def both(operator, values, *constant):
    """Answers of ONNX Runtime and of OpenVINO to one operator on one column."""
    kind = {"int64": TensorProto.INT64, "float64": TensorProto.DOUBLE}[values.dtype.name]
    kept = [numpy_helper.from_array(np.array(c, values.dtype), "c") for c in constant]
    out = TensorProto.BOOL if operator == "Less" else kind
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "c"][: 1 + len(kept)], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", kind, [None])],
        [helper.make_tensor_value_info("y", out, [None])],
        kept,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    right = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": values})[0]
    return right, core.compile_model(core.read_model(model.SerializeToString()), "CPU")({"x": values})[0]


users = np.array([5, 2**32 + 5, 2**40 + 5, 10**12])
print("users  ", *(a.tolist() for a in both("Identity", users)))
ids = np.random.default_rng(0).integers(10**12, 10**13, 1000)
right, bucket = both("Mod", ids, 1000)
print("buckets", (right == ids % 1000).mean(), "right and", (bucket == ids % 1000).mean())
minute = both("Sub", np.array([1700000060.0]), 1700000000.0)
late = both("Less", np.array([1700000000000, 1700000001000]), 1700000000500)
print("minute ", *minute, "before", *(a.tolist() for a in late))
assert (both("Identity", users)[0] == users).all() and (right == ids % 1000).all() and minute[0] == 60, "the model"
assert both("Identity", users)[1].tolist() == [5, 5, 5, -727379968], "ids keep their 64 bits now"
assert (bucket == ids % 1000).mean() < 0.5, "buckets are right now"
assert minute[1] == 0 and late[1].tolist() != late[0].tolist(), "times keep their 64 bits now"
PY
