#!/usr/bin/env bash
# tf2onnx: tf.where becomes a sum of two products, so the NaN that it was to replace comes back.
#
# Guess:  tf.where(is_finite(x), x, 0), the usual way to fill missing numbers, is ONNX's Where.
# Found:  tf2onnx 1.17.0 with TensorFlow 2.17.1, onnx 1.17.0, onnxruntime 1.32.0: no Where in the file, but
#         c * x + (1 - c) * 0 (the printed operators), and NaN * 0 is NaN. TensorFlow gives [1, 0], ONNX Runtime
#         [1, NaN]. The conversion says nothing.
# Cure:   fill missing numbers before the model, or convert SelectV2 by a handler of one's own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check tensorflow-cpu==2.17.1 tf2onnx==1.17.0 onnx==1.17.0 \
    onnxruntime==1.32.0 numpy==1.26.4
TF_CPP_MIN_LOG_LEVEL=3 "$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx


def where_finite(x):
    return tf.where(tf.math.is_finite(x), x, 0.0)


signature = [tf.TensorSpec([None], tf.float32, name="x")]
filled = tf.function(where_finite, autograph=False, input_signature=signature)


made, _ = tf2onnx.convert.from_function(filled, input_signature=signature, opset=17)
session = onnxruntime.InferenceSession(
    made.SerializeToString(), providers=["CPUExecutionProvider"]
)
given = np.array([1.0, np.nan], np.float32)
found = session.run(None, {session.get_inputs()[0].name: given})[0]
print([node.op_type for node in made.graph.node], filled(given).numpy(), found)
assert filled(given).numpy().tolist() == [1.0, 0.0]
assert found[0] == 1.0 and np.isnan(found[1]), "the NaN is replaced"
PY
