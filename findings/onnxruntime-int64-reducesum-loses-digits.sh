#!/usr/bin/env bash
# ONNX Runtime: ReduceSum of int64 loses digits beyond 2^53; Add and MatMul of int64 keep them.
#
# Guess:  ReduceSum takes int64 and gives int64, so it adds whole numbers: 2^53 + 1 = 9007199254740993.
# Found:  onnxruntime 1.32.0 on the CPU, onnx 1.17.0: ReduceSum([2^53, 1]) is 9007199254740992. Add and MatMul
#         of the same numbers are exact, and so is ONNX's reference evaluator. A hash, a checksum or an id that is
#         put together by a sum is another one, without a word.
# Cure:   sum by MatMul with ones, or by Add.
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
from onnx.reference import ReferenceEvaluator


def model(kind, shapes, out):
    names = list(shapes)
    given = [helper.make_tensor_value_info(n, TensorProto.INT64, s) for n, s in shapes.items()]
    result = helper.make_tensor_value_info("y", TensorProto.INT64, out)
    graph = helper.make_graph([helper.make_node(kind, names, ["y"])], "one", given, [result])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def run(made, feed):
    kind = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=kind)
    return int(np.ravel(session.run(None, feed)[0])[0])


both = np.array([2**53, 1], np.int64)
summed = model("ReduceSum", {"x": [2]}, [1])
found = run(summed, {"x": both})
reference = int(np.ravel(ReferenceEvaluator(summed).run(None, {"x": both})[0])[0])
added = run(model("Add", {"a": [1], "b": [1]}, [1]), {"a": both[:1], "b": both[1:]})
ones = np.ones([2, 1], np.int64)
product = run(model("MatMul", {"a": [1, 2], "b": [2, 1]}, [1, 1]), {"a": both[None], "b": ones})
print("ReduceSum", found, "Add", added, "MatMul", product, "reference", reference)
assert added == product == reference == 2**53 + 1
assert found == 2**53, "the sum is exact"
PY
