#!/usr/bin/env bash
# ONNX Runtime casts the text "1e6" to the integer 1, "0x10" to 0 and "7-42" to 7.
#
# Guess:  the operator's text promises scientific notation ("1e-5", "1E8") and that "100.5" may become 100; what is no
#         number is refused, as "" and "abc" are.
# Found:  onnxruntime 1.32.0 on the CPU, onnx 1.17.0: an int64 is read up to the first character that does not fit.
#         "1e6" and "1E8" are 1, "1,700" is 1, an order number "7-42" is 7, a date "2026-11-30" is 2026. To float
#         "1e6" is 1000000 and "1,5" is 1. No error. ONNX's reference evaluator raises on each of them.
#         Writers of JSON and CSV write large round numbers as 1e6 (or 1e+06), so an id or a count becomes 1.
# Cure:   cast text in the client; in a graph cast to double first where a notation is possible.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check onnx==1.17.0 onnxruntime==1.32.0 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def graph(kind):
    text, number = [helper.make_tensor_value_info(n, t, [None]) for n, t in (("t", TensorProto.STRING), ("n", kind))]
    made = helper.make_graph([helper.make_node("Cast", ["t"], ["n"], to=kind)], "cast", [text], [number])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(kind, texts):
    session = onnxruntime.InferenceSession(graph(kind).SerializeToString(), providers=["CPUExecutionProvider"])
    given = {}
    for text in texts:
        try:
            given[text] = session.run(None, {"t": np.array([text], dtype=object)})[0].item()
        except Exception as error:
            given[text] = type(error).__name__
    return given


whole = answers(TensorProto.INT64, ["1000000", "1e6", "1E8", "0x10", "7-42", "2026-11-30", "1,700", "", "abc"])
broken = answers(TensorProto.FLOAT, ["1e6", "1,5", "7-42"])
print("int64:", whole)
print("float:", broken)
refused = 0
for text in ("1e6", "1E8", "0x10", "7-42", "2026-11-30", "1,700"):
    try:
        ReferenceEvaluator(graph(TensorProto.INT64)).run(None, {"t": np.array([text], dtype=object)})
    except ValueError:
        refused += 1
print("of the six in between the reference evaluator refuses", refused)
assert whole["1000000"] == 1_000_000 and isinstance(whole[""], str) and isinstance(whole["abc"], str)
assert whole["1e6"] == whole["1E8"] == whole["1,700"] == 1, "the notation is read"
assert whole["0x10"] == 0 and whole["7-42"] == 7 and whole["2026-11-30"] == 2026, "the rest is refused"
assert broken == {"1e6": 1_000_000.0, "1,5": 1.0, "7-42": 7.0}, "floats changed"
PY
