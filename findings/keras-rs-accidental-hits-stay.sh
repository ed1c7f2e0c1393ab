#!/usr/bin/env bash
# keras-rs RemoveAccidentalHits removes nothing: it adds 1.2e-40 to the logits.
#
# Guess:  a negative that is the positive's own item gets a logit near minus infinity.
# Found:  keras-rs 0.4.0: it adds the smallest positive float32 divided by 100, where the dtype's
#         lowest would be meant; a logit of 5 stays 5.0, and the softmax loss is the same to the last bit.
# Cure:   mask the logits by hand: where(same item and not the label, -1e9, logits).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    tensorflow-cpu==2.17.1 keras==3.15.1 keras-rs==0.4.0 numpy==1.26.4
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$work/v/bin/python" -W ignore - <<'PY'
import keras
import keras_rs
import numpy as np

logits = np.array([[4.0, 5, 1], [5, 4, 1], [0, 1, 2]], "float32")
labels = np.eye(3, dtype="float32")
items = np.array([7, 7, 9])  # rows 0 and 1 are each other's accidental hit
after = np.asarray(keras_rs.layers.RemoveAccidentalHits()(logits, labels, items))
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
print(after.tolist(), float(loss(labels, logits)), float(loss(labels, after)))
assert np.array_equal(after, logits), "hits are removed now"
assert float(loss(labels, logits)) == float(loss(labels, after)), "the loss changes now"
PY
