#!/usr/bin/env bash
# ONNX Runtime's Cast of a double to text keeps eight digits: 123456789 and 123456790 are both "1.2345679e+08".
#
# Guess:  a double holds whole numbers to 2^53, and its text tells them apart, as Python's, ONNX's reference
#         evaluator's and the same operator's text of an int64 do.
# Found:  onnxruntime 1.32.0 on the CPU, onnx 1.17.0: from nine digits on ids meet. Of 1,000 ids in a row behind
#         123,456,000, 101 texts; of Unix times one in each 100 seconds. And the text has an exponent, so a look-up
#         whose keys are "123456789" finds none of them and answers with its default. No message.
#         pandas makes doubles of ids with gaps, so the graph that was tested on int64 is fed them one day.
# Cure:   Cast to int64 before the Cast to text.
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


def texts(values, *through, reference=False):
    """Values as text, cast through the types named."""
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    names = ["x", *(f"t{k}" for k, _ in enumerate(through)), "text"]
    nodes = [
        helper.make_node("Cast", [a], [b], to=to)
        for a, b, to in zip(names, names[1:], [*through, TensorProto.STRING])
    ]
    ends = [helper.make_tensor_value_info(n, t, [None]) for n, t in (("x", kind), ("text", TensorProto.STRING))]
    made = helper.make_graph(nodes, "text", ends[:1], ends[1:])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if reference:
        return ReferenceEvaluator(model).run(None, {"x": values})[0].tolist()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0].tolist()


ids = np.arange(123_456_000, 123_457_000)
whole, double, named = texts(ids), texts(ids.astype(float)), texts(ids.astype(float), reference=True)
cured = texts(ids.astype(float), TensorProto.INT64)
print("int64", whole[789], whole[790], "double", double[789], double[790], "reference", named[789])
print("different texts of 1,000 ids:", len(set(whole)), len(set(double)), len(set(named)), len(set(cured)))
seconds = texts(np.arange(1_700_000_000.0, 1_700_001_000.0))
print("of 1,000 seconds:", len(set(seconds)), sorted(set(seconds))[:3])
assert whole == cured == [str(k) for k in ids] and len(set(named)) == 1_000, "the other ways"
assert double[789] == double[790] == "1.2345679e+08" and len(set(double)) < 110, "ids stay apart"
assert len(set(seconds)) < 15, "seconds stay apart"
PY
