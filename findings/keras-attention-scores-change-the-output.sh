#!/usr/bin/env bash
# Keras MultiHeadAttention: asking for the scores changes the output of a query that may see nothing.
#
# Guess:  return_attention_scores=True gives the same output, and the scores beside it. A query whose
#         mask is False everywhere (a user without history) gets zeros, or the same vector both ways.
# Found:  Keras 3.15.1 on TensorFlow 2.17.1: without the scores the output is attention spread evenly
#         over the keys that the mask forbids; with them it is 0, and so are the scores.
#         Queries that see a key give the same both ways.
# Cure:   put something in the place of rows without any key yourself (tf.where on any(mask)).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    tensorflow-cpu==2.17.1 keras==3.15.1 numpy==1.26.4
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$work/v/bin/python" -W ignore - <<'PY'
import keras
import numpy as np

keras.utils.set_random_seed(0)
layer = keras.layers.MultiHeadAttention(num_heads=1, key_dim=4)
draw = np.random.default_rng(0)
item, events = (draw.normal(size=(1, n, 4)).astype("float32") for n in (1, 3))


def both(mask):
    mask = np.array(mask)[None, None]
    alone = np.asarray(layer(item, events, attention_mask=mask))[0, 0]
    beside, scores = layer(item, events, attention_mask=mask, return_attention_scores=True)
    return alone, np.asarray(beside)[0, 0], np.asarray(scores).ravel()


alone, beside, scores = both([False, False, False])
even = np.asarray(layer(item, events.mean(1, keepdims=True)))[0, 0]
print("alone ", alone)
print("even  ", even)
print("beside", beside, "scores", scores)
assert np.allclose(alone, even, atol=1e-5) and not np.allclose(alone, 0), "no even attention"
assert not beside.any() and not scores.any(), "the scores no longer change the output"
alone, beside, _ = both([True, False, True])
assert np.allclose(alone, beside, atol=1e-5)
PY
