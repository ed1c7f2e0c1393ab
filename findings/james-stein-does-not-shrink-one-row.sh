#!/usr/bin/env bash
# category_encoders' James-Stein encoder gives an id seen once its own label.
#
# Guess:  a shrinkage estimator shrinks most where it has seen least.
# Found:  category_encoders 2.11.2, 20,000 rows, 2 % conversions drawn by chance, some 12,600 ids:
#           JamesSteinEncoder  ids seen once get exactly 0.0 or 1.0
#           TargetEncoder      at most .16
#         A group of one row has variance 0, which the formula reads as certainty.
# Cure:   TargetEncoder or MEstimateEncoder with a large m, taught on earlier days only.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    category_encoders==2.11.2 pandas==2.3.3 numpy==2.2.6 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import category_encoders as encoders
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
users = pd.DataFrame({"user": [f"u{i}" for i in rng.integers(0, 20_000, 20_000)]})
label = pd.Series((rng.random(20_000) < 0.02).astype(int))
once = users.user.map(users.user.value_counts()).eq(1).to_numpy()


def encoded(name):
    made = getattr(encoders, name)(cols=["user"])
    return np.asarray(made.fit_transform(users, label))[:, 0]


stein, target = encoded("JamesSteinEncoder"), encoded("TargetEncoder")
print("seen once", once.sum(), "of them", sorted(set(stein[once])), "target", target.max())
assert np.array_equal(stein[once], label.to_numpy()[once]), "shrunk now"
assert target[once].max() < 0.2, "the other encoder shrinks"
PY
