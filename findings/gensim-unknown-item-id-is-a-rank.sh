#!/usr/bin/env bash
# gensim: an item id that Word2Vec never saw is "in" the model and has the vector of the item at that place.
#
# Guess:  wv[17] raises KeyError for an item that min_count left out or that is new, as wv["17"] does, and
#         "17 in wv" is False, so that a look-up may skip it.
# Found:  gensim 4.4.0, NumPy 2.2.6; item2vec on sessions of integer ids: a missing id below the vocabulary's size is
#         taken for a place in the table, which is sorted by count. `in`, get_vector, similarity, most_similar and
#         get_mean_vector all agree on it. Of 400 items without a session 239 are "in" the model,
#         each with the vector of another, frequent item; with the same ids as texts, none. Only ids beyond the
#         vocabulary's size raise, so a test with 999999 passes. No message.
#         (The docs say that plain ints are places in the table; not that integer tokens fall back on it.)
# Cure:   str(id) as token, or ask wv.key_to_index instead of wv.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check gensim==4.4.0 numpy==2.2.6 scipy==1.15.3
"$work/v/bin/python" - <<'PY'
import numpy as np
from gensim.models import Word2Vec

draw = np.random.default_rng(0)
popular = draw.permutation(1000)
sessions = [[int(popular[i]) for i in draw.integers(0, 600, 10)] for _ in range(3000)]


def model(token):
    return Word2Vec([[token(i) for i in s] for s in sessions], vector_size=8, min_count=6, epochs=1, workers=1).wv


number, text = model(int), model(str)
missing = [i for i in range(1000) if i not in number.key_to_index]
taken = [i for i in missing if i in number]
strangers = [number.index_to_key[i] for i in taken]
print(len(number), "items known,", len(missing), "missing,", len(taken), "of them in the model,",
      sum(str(i) in text for i in missing), "as text")
print("missing item", taken[0], "is item", strangers[0], "with similarity",
      round(float(number.similarity(taken[0], strangers[0])), 4))
assert len(number) == len(text) and not any(str(i) in text for i in missing), "texts"
assert len(taken) > len(missing) / 2, "a missing id is not in the model now"
assert all(np.array_equal(number[a], number[b]) for a, b in zip(taken, strangers)), "it is nobody's vector now"
try:
    number[999999]
    raise AssertionError("a large id has a vector now")
except KeyError:
    pass
PY
