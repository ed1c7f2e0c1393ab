#!/usr/bin/env bash
# keras-rs BruteForceRetrieval answers with item ids cut to 32 bits.
#
# Guess:  candidate_ids come back as they were given, or are refused.
# Found:  keras-rs 0.4.0, Keras 3.15.1 (TensorFlow backend): int64 ids are kept as int32:
#           2**40 + 5 -> 5 (another item's id)    2**31 + 5 -> -2147483643    no message
# Cure:   leave candidate_ids out and look the positions up in an int64 array outside.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    tensorflow-cpu==2.17.1 keras==3.15.1 keras-rs==0.4.0 numpy==1.26.4
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$work/v/bin/python" -W ignore - <<'PY'
import keras_rs
import numpy as np

given = np.array([2**40 + 5, 2**31 + 5, 12], np.int64)
layer = keras_rs.layers.BruteForceRetrieval(
    candidate_embeddings=np.array([[3.0], [2.0], [1.0]], "float32"),
    candidate_ids=given,
    k=3,
    return_scores=False,
)
found = np.asarray(layer(np.ones((1, 1), "float32")))[0]
print("given", given.tolist(), "found", found.tolist(), found.dtype)
assert found.tolist() == [5, -2147483643, 12], "ids come back whole now"
PY
