#!/usr/bin/env bash
# NGBoost: trained on the labels -1 and 1 every row buys with probability 1.
#
# Guess:  a classifier of the scikit-learn kind takes any two labels, or refuses them as it does 1 and 2 (IndexError).
# Found:  ngboost 0.5.11, scikit-learn 1.7.2, NumPy 2.2.6: the label is the place in the list of classes, and -1 is
#         the last place, which is also that of 1. All rows are of one class: of 4,000 rows 18 % buy, and all are
#         scored 1.00; log loss 30 for .42, and predict() says 1 for each. With 0 and 1 the mean is .18. No message.
#         (The maintainers' answer in issue 64 is that labels count from 0.)
# Cure:   (label > 0).astype(int).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    ngboost==0.5.11 scikit-learn==1.7.2 numpy==2.2.6 scipy==1.15.3
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from ngboost import NGBClassifier
from sklearn.metrics import log_loss

draw = np.random.default_rng(0)
features = draw.normal(size=(4000, 3))
bought = (draw.random(4000) < 1 / (1 + np.exp(1.8 - features[:, 0]))).astype(int)


def scored(labels):
    model = NGBClassifier(n_estimators=60, verbose=False, random_state=0).fit(features, labels)
    chance = model.predict_proba(features)[:, -1]
    loss = log_loss(bought, np.clip(chance, 1e-16, 1 - 1e-16))
    classes = sorted(set(np.asarray(model.predict(features)).tolist()))
    return round(float(chance.mean()), 2), round(float(loss), 2), classes


plain, signed = scored(bought), scored(2 * bought - 1)
print("bought", round(float(bought.mean()), 2), "labels 0 and 1", plain, "labels -1 and 1", signed)
try:
    scored(bought + 1)
    raise AssertionError("the labels 1 and 2 are taken now")
except IndexError as error:
    print("labels 1 and 2:", error)
assert abs(plain[0] - bought.mean()) < 0.02 and plain[1] < 0.5, "the model"
assert signed[0] == 1.0 and signed[1] > 10 and signed[2] == [1], "-1 is a class of its own now"
PY
