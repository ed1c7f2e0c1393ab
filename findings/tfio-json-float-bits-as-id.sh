#!/usr/bin/env bash
# tensorflow-io's decode_json reads 1.9 under an int64 spec as the bits of the double.
#
# Guess:  an error, or 1.
# Found:  tensorflow-io 0.37.1, TensorFlow 2.17.1: {"a": 1.9} -> 4611235658464650854, which is
#         0x3ffe666666666666, the double 1.9 itself. {"b": null} under float32 -> 0.0. No message.
#         1.0, as many JSON writers put a whole number, becomes 4607182418800017408.
# Cure:   decode as float64 and cast, or parse JSON outside.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    tensorflow-cpu==2.17.1 tensorflow-io==0.37.1 tensorflow-io-gcs-filesystem==0.37.1 numpy==1.26.4
TF_CPP_MIN_LOG_LEVEL=3 "$work/v/bin/python" -W ignore - <<'PY'
import struct

import tensorflow as tf
import tensorflow_io as tfio

specs = {"a": tf.TensorSpec([], tf.int64), "b": tf.TensorSpec([], tf.float32)}


def decoded(text):
    found = tfio.experimental.serialization.decode_json(text, specs)
    return int(found["a"]), float(found["b"])


whole, fraction, null = (
    decoded(t) for t in ('{"a":1.0,"b":2}', '{"a":1.9,"b":2}', '{"a":1,"b":null}')
)
print("1.0 ->", whole[0], " 1.9 ->", fraction[0], " null ->", null[1])
assert fraction[0] == struct.unpack("<q", struct.pack("<d", 1.9))[0], "read otherwise now"
assert whole[0] == struct.unpack("<q", struct.pack("<d", 1.0))[0], "read otherwise now"
assert null == (1, 0.0), "null is no longer 0"
PY
