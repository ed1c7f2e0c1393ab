#!/usr/bin/env bash
# toad's AUC of a model is .85, and .15 on the day when one of its scores is above 1.
#
# Guess:  an AUC looks at the order of the scores only; log-odds, probabilities and per cent have the same.
# Found:  toad 0.1.7, scikit-learn 1.7.2, NumPy 2.2.6; log-odds of 5,000 clicks at a rate of .05, greatest one .75:
#           log-odds .849    the same plus .3 .151    probabilities .849    per cent .151
#         Where any score is above 1, all are taken for points of a credit score, of which more is better, and turned.
#         A model of log-odds has the one sign or the other by its best row; revenue or per cent is always turned.
#         roc_curve by return_curve=True is turned as well. No message, and the docstring does not tell.
# Cure:   scikit-learn's roc_auc_score, or probabilities below 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    toad==0.1.7 pandas==2.3.3 numpy==2.2.6 scipy==1.15.3 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from sklearn.metrics import roc_auc_score
from toad.metrics import AUC

CLICKS = 5_000
draw = np.random.default_rng(0)
bought = (draw.random(CLICKS) < 0.05).astype(int)
odds = -3 + draw.normal(size=CLICKS) + 1.5 * bought
chance = 1 / (1 + np.exp(-odds))
given = {"log-odds": odds, "plus .3": odds + 0.3, "probabilities": chance, "per cent": 100 * chance}
found = {}
for name, scores in given.items():
    found[name], usual = AUC(scores, bought), roc_auc_score(bought, scores)
    print(f"{name}: greatest {scores.max():.2f}, toad {found[name]:.3f}, scikit-learn {usual:.3f}")
    assert usual > 0.8, "scikit-learn"
assert found["log-odds"] > 0.8 and found["probabilities"] > 0.8, "scores up to 1"
assert found["plus .3"] < 0.2 and found["per cent"] < 0.2, "scores above 1 are left as they are"
PY
