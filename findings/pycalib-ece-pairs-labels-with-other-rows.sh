#!/usr/bin/env bash
# PyCalib's ECE of two classes pairs each label with another row's probability: .22 for perfect scores.
#
# Guess:  the expected calibration error of the true probabilities is near 0, and of scores three times too high it is
#         large; ECE(labels, [1 - p, p]) agrees with binary_ECE(labels, p) of the same library.
# Found:  pycalib 0.1.0.dev6, scikit-learn 1.7.2, NumPy 2.2.6; 20,000 rows of a rate of .1:
#           ECE          true probabilities .216   three times too high .208   the true ones, rows in another order .218
#           binary_ECE                      .005                        .197
#         scikit-learn's label_binarize makes one column of two classes, the probabilities have two, both are flattened
#         and zipped: label i meets entry i of p0, p1, p0, p1, ..., and the second half of the rows is not read at all.
#         With three classes the two agree in length, and ECE is right. No message.
# Cure:   binary_ECE or conf_ECE, according to what is meant.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    pycalib==0.1.0.dev6 scikit-learn==1.7.2 numpy==2.2.6 scipy==1.15.3
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from pycalib.metrics import ECE, binary_ECE

ROWS = 20_000
draw = np.random.default_rng(0)
truth = draw.beta(1, 9, ROWS)
bought = (draw.random(ROWS) < truth).astype(int)


def both(labels, chance):
    return ECE(labels, np.c_[1 - chance, chance]), binary_ECE(labels, chance)


right, wrong = both(bought, truth), both(bought, np.minimum(3 * truth, 1))
print("true probabilities: ECE", round(right[0], 3), "binary_ECE", round(right[1], 3))
print("three times too high:", round(wrong[0], 3), round(wrong[1], 3))
assert right[1] < 0.01 and wrong[1] > 0.15, "binary_ECE"
assert right[0] > 0.15 and wrong[0] < right[0], "ECE tells true from wrong now"

order = draw.permutation(ROWS)
print("other order:", round(both(bought[order], truth[order])[0], 3))
half = truth.copy()
half[ROWS // 2:] = 0.99
print("second half's scores all .99:", round(both(bought, half)[0], 3))
assert both(bought, half)[0] == right[0], "the second half is read"
three = draw.dirichlet([1, 1, 1], ROWS)
labels = (draw.random((ROWS, 1)) > three.cumsum(axis=1)).sum(axis=1)
print("three classes:", round(ECE(labels, three), 3))
assert ECE(labels, three) < 0.02, "three classes"
PY
