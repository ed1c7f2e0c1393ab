#!/usr/bin/env bash
# ONNX Runtime's Unique of [NaN, 1, 2] is [NaN], counted three times: real values vanish beside a NaN.
#
# Guess:  NaN is unlike everything, so it is a value of its own (or one for each NaN); 1 and 2 stay what they are.
# Found:  onnxruntime 1.32.0 on the CPU, onnx 1.17.0, float and double: [NaN, 1, 2] -> [NaN], count 3;
#         [1, NaN, 2, 2] -> [1, 2] with counts 2 and 2, the NaN is a 1; [2, NaN, 2] -> [2], count 3. The order of the
#         rows decides, and the inverse sends each lost value to another's place, so values rebuilt from it are
#         other prices. ONNX's reference evaluator keeps 1 and 2. No message.
# Cure:   replace NaN before Unique (Where and IsNaN), or find repeats of the ids instead.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check onnx==1.17.0 onnxruntime==1.32.0 numpy==2.2.6
"$work/v/bin/python" -W error - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

NAN = float("nan")
OUT = ["values", "first", "place", "count"]


def unique(values, kind=np.float32):
    """Values and counts of the runtime, the input rebuilt from them, and the reference evaluator's values."""
    rows = np.array(values, kind)
    ends = [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(rows.dtype), [None])]
    outs = [helper.make_tensor_value_info("values", ends[0].type.tensor_type.elem_type, [None])]
    outs += [helper.make_tensor_value_info(name, TensorProto.INT64, [None]) for name in OUT[1:]]
    made = helper.make_graph([helper.make_node("Unique", ["x"], OUT)], "unique", ends, outs)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    kept, _, place, count = session.run(None, {"x": rows})
    true = ReferenceEvaluator(model).run(None, {"x": rows})[0]
    print(values, "->", kept.tolist(), "counts", count.tolist(), "rebuilt", kept[place].tolist(), end=" ")
    print("reference", true.tolist())
    return kept.tolist(), count.tolist(), kept[place].tolist(), true.tolist()


first = unique([NAN, 1, 2])
middle = unique([1, NAN, 2, 2])
between = unique([2, NAN, 2], np.float64)
plain = unique([3, 1, 1])
assert plain[:3] == ([1, 3], [2, 1], [3, 1, 1]), "without NaN"
assert first[3][:2] == [1, 2] and middle[3][:2] == [1, 2], "the reference keeps the values"
assert len(first[0]) == 1 and first[1] == [3] and np.isnan(first[2]).all(), "1 and 2 are kept"
assert middle[:3] == ([1, 2], [2, 2], [1, 1, 2, 2]) and between[:2] == ([2], [3]), "NaN has a place of its own"
PY
