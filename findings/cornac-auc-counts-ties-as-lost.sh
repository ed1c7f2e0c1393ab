#!/usr/bin/env bash
# Cornac's AUC gives a tied pair nothing, where the AUC gives it a half.
#
# Guess:  AUC is the share of (positive, negative) pairs in order, a tie counting one half: scores
#         that are all equal have .5.
# Found:  Cornac 3.0.1, NumPy 2.3.5, Python 3.11:
#           all scores equal 0.0; a positive tied with three of eight negatives and one in front
#           .8125, where scikit-learn says .90625
#         A model that has fallen back to one rate for new items looks worse than a reversed one,
#         and rounding or float16 scores lowers the figure by half of the tied pairs' share.
# Cure:   break ties at random before, or take another AUC.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check cornac==3.0.1 scikit-learn==1.7.2 numpy==2.3.5
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from cornac.metrics import AUC
from sklearn.metrics import roc_auc_score

items = np.arange(10)
bought = np.array([0, 1])
is_bought = np.isin(items, bought)
constant = np.zeros(10)
coarse = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
print("constant", AUC().compute(items, constant, bought), roc_auc_score(is_bought, constant))
print("coarse  ", AUC().compute(items, coarse, bought), roc_auc_score(is_bought, coarse))
assert roc_auc_score(is_bought, constant) == 0.5
assert AUC().compute(items, constant, bought) == 0.0, "ties are no longer lost"
assert roc_auc_score(is_bought, coarse) == 0.90625
assert AUC().compute(items, coarse, bought) == 0.8125, "ties are no longer lost"
PY
