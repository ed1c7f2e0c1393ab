#!/usr/bin/env bash
# whylogs calls two logs of one distribution of 30 shops "DRIFT" in nine of ten pairs.
#
# Guess:  a test at .05 calls two draws of one distribution different in 5 of 100 pairs, whatever their sizes.
# Found:  whylogs 1.6.4, SciPy 1.13.1, calculate_drift_scores of a text column (its choice: chi-square); 40 pairs each:
#           30 shops, 5,000 clicks and 5,000 in the reference         DRIFT in 90 %   (a two-sample chi-square 2 %)
#           8 shops, 5,000 and 5,000                                  45 %            (5 %)
#           8 shops, one with .0001 of the clicks, 5,000 and 50,000   92 %            (8 %)
#         The reference's counts are taken for the true shares, which doubles the statistic at equal sizes. A shop whose
#         expected count is below 1 is cut to 0 by int(), and the statistic is then infinite and p 0, seen in the
#         later log or not: a long reference does not help. No message.
# Cure:   scipy.stats.chi2_contingency of both counts, with rare shops put together.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WHYLOGS_NO_ANALYTICS=True
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check whylogs==1.6.4 \
    numpy==1.26.4 pandas==2.2.3 scipy==1.13.1 ipython==9.18.1 pybars3==0.9.7 pillow==13.0.0
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
import whylogs
from scipy.stats import chi2_contingency
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

PAIRS = 40


def profile(shops):
    return whylogs.log(pd.DataFrame({"shop": shops})).view()


def studied(share, clicks, reference):
    """Share of pairs that whylogs calls drift; share below .05 by a two-sample test; share of infinite statistics."""
    names = np.array([f"shop {k}" for k in range(len(share))])
    found = []
    for seed in range(PAIRS):
        draw = np.random.default_rng(seed)
        later, base = draw.choice(names, clicks, p=share), draw.choice(names, reference, p=share)
        score = calculate_drift_scores(profile(later), profile(base), with_thresholds=True)["shop"]
        assert score["algorithm"] == "chi-square"
        usual = chi2_contingency(pd.crosstab(np.r_[later, base], np.repeat([0, 1], [clicks, reference]))).pvalue
        found.append((score["drift_category"] == "DRIFT", usual < 0.05, np.isinf(score["statistic"])))
    return np.mean(found, axis=0)


rare = np.r_[np.full(7, (1 - 1e-4) / 7), 1e-4]
many, few, one = (studied(np.full(30, 1 / 30), 5_000, 5_000), studied(np.full(8, 1 / 8), 5_000, 5_000),
                  studied(rare, 5_000, 50_000))
for name, (drift, usual, infinite) in (("30 shops", many), ("8 shops", few), ("8, one rare", one)):
    print(f"{name}: drift {drift:.0%}, two-sample test {usual:.0%}, infinite {infinite:.0%}")
    assert usual < 0.15, "two logs of one distribution"
assert many[0] > 0.7 and 0.25 < few[0] < 0.65, "the reference is a sample now"
assert one[0] > 0.7 and one[2] > 0.7, "a rare shop is no drift now"
PY
