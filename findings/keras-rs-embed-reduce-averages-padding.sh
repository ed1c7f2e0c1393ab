#!/usr/bin/env bash
# keras-rs EmbedReduce(mask_zero=True) averages the padding it was told to mask.
#
# Guess:  with mask_zero=True the id 0 is padding: [1, 2, 0] has the mean of rows 1 and 2.
# Found:  keras-rs 0.4.0, Keras 3.15.1 (TensorFlow backend): the mean of rows 0, 1 and 2; the argument
#         is taken and changes no number. An empty history [0, 0, 0] is the vector of row 0.
# Cure:   give weights: 1 for an event, 0 for padding (an all-zero row then gives zeros).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    tensorflow-cpu==2.17.1 keras==3.15.1 keras-rs==0.4.0 numpy==1.26.4
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$work/v/bin/python" -W ignore - <<'PY'
import keras_rs
import numpy as np

table = np.arange(20.0, dtype="float32").reshape(10, 2)
history = np.array([[1, 2, 0], [0, 0, 0]])


def pooled(weights=None, **options):
    layer = keras_rs.layers.EmbedReduce(10, 2, combiner="mean", **options)
    layer.build((None, 3))
    layer.weights[0].assign(table)
    return np.asarray(layer(history) if weights is None else layer(history, weights)).tolist()


masked, plain = pooled(mask_zero=True), pooled()
weighted = pooled(np.array([[1.0, 1, 0], [0, 0, 0]], "float32"))
print("mask_zero", masked, "plain", plain, "weights", weighted)
assert masked == plain == [[2.0, 3.0], [0.0, 1.0]], "padding is masked now"
assert weighted == [[3.0, 4.0], [0.0, 0.0]], "weights leave it out"
PY
