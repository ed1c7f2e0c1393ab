#!/usr/bin/env bash
# toad: the PSI of two logs without one category in common is 0.
#
# Guess:  a category that only one of two logs has makes the index infinite, or large by some smallest share; a new shop
#         with 40 % of the clicks is beyond .25, the usual alarm.
# Found:  toad 0.1.7, pandas 2.3.3, NumPy 2.2.6, 5,000 clicks each:
#           shops a, b, c and again a, b, c                        PSI .0002
#           a, b, c and then x, y, z                               PSI 0.0
#           a, b, c and then a new shop with 40 % of the clicks    PSI .21   (3.6 with half a row in each)
#         The shares are pandas Series, aligned by category; what one side lacks is NaN, and the sum leaves NaN out. So
#         does a bin of scores that emptied, or one that fills for the first time. No message.
# Cure:   value_counts of both over the union of categories, with half a row in each, then the sum.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    toad==0.1.7 pandas==2.3.3 numpy==2.2.6 scipy==1.15.3 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from toad.metrics import PSI

CLICKS = 5_000
draw = np.random.default_rng(0)


def log(shops, share=None):
    return pd.Series(draw.choice(list(shops), CLICKS, p=share))


def smoothed(later, base, least):
    """PSI with `least` rows in each category of either log."""
    counts = pd.concat([later.value_counts(), base.value_counts()], axis=1).fillna(0) + least
    later_share, base_share = (counts / counts.sum()).to_numpy().T
    return float(np.sum((later_share - base_share) * np.log(later_share / base_share)))


base = log("abc")
logs = {"alike": log("abc"), "none in common": log("xyz"), "a new shop": log("abcn", [0.2, 0.2, 0.2, 0.4])}
found = {}
for name, later in logs.items():
    found[name] = float(PSI(later, base))
    usual = [smoothed(later, base, least) for least in (0.5, 1e-6)]
    print(f"{name}: toad {found[name]:.4f}, half a row in each {usual[0]:.2f}, a millionth {usual[1]:.2f}")
    if name != "alike":
        assert min(usual) > 2, "the usual index"
assert found["alike"] < 0.01, "two logs alike"
assert found["none in common"] == 0, "logs without a common category differ now"
assert found["a new shop"] < 0.25, "a new shop is beyond the alarm now"
PY
