#!/usr/bin/env bash
# onnxoptimizer drops the first of two Reshapes, and the softmax over two options becomes one over four.
#
# Guess:  the passes fuse and remove what changes nothing; a 0 in the second shape copies a dimension of what the first
#         one made, so the first is needed, or the pass writes the number in.
# Found:  onnxoptimizer 0.4.2, onnx 1.18.0, onnxruntime 1.32.0: eliminate_consecutive_idempotent_ops, one of the passes
#         that optimize() runs when none are named, takes Reshape for an operator of which only the last counts. Four
#         logits a row, cut into pairs by (-1, 2), then (0, -1), then Softmax: .44 and .56 in each pair, four rows;
#         after it .17, .21, .27, .35 in two rows. Both files pass the checker, with shapes inferred.
#         Where a sum follows, the number of rows is the only sign, and a batch of one has one anyway. No message.
# Cure:   pass a list of passes without it, and compare both files on a batch.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    onnxoptimizer==0.4.2 onnx==1.18.0 onnxruntime==1.32.0 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)
pairs, keep = np.array([-1, 2]), np.array([0, -1])
graph = helper.make_graph(
    [
        helper.make_node("Reshape", ["logits", "pairs"], ["cut"]),
        helper.make_node("Reshape", ["cut", "keep"], ["kept"]),
        helper.make_node("Softmax", ["kept"], ["chance"], axis=1),
    ],
    "choice",
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, 4])],
    [helper.make_tensor_value_info("chance", TensorProto.FLOAT, [None, None])],
    [numpy_helper.from_array(pairs, "pairs"), numpy_helper.from_array(keep, "keep")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
logits = np.arange(8, dtype=np.float32).reshape(2, 4) / 4


def chance(file):
    onnx.checker.check_model(file, full_check=True)
    return onnxruntime.InferenceSession(file.SerializeToString()).run(None, {"logits": logits})[0]


def optimized(*passes):
    return chance(onnxoptimizer.optimize(model, list(passes) or None))


one, tidy = "eliminate_consecutive_idempotent_ops", "eliminate_deadend"
rest = [p for p in onnxoptimizer.get_fuse_and_elimination_passes() if p != one]
found = {"file": chance(model), "optimize": optimized()}
found |= {"the pass": optimized(one, tidy), "the others": optimized(*rest)}
for name, answer in found.items():
    print(name, answer.round(2).tolist())
exact = np.exp(logits.reshape(-1, 2))
exact /= exact.sum(axis=1, keepdims=True)
assert np.allclose(found["file"], exact) and np.allclose(found["the others"], exact), "the model"
assert found["optimize"].shape == (2, 4) and not np.allclose(found["optimize"].ravel(), exact.ravel()), "pairs stay now"
PY
