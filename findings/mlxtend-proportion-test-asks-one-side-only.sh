#!/usr/bin/env bash
# mlxtend's test of two proportions: p = .5 for two equal arms, and .9999 where the first arm is clearly better.
#
# Guess:  a p-value of "a difference of proportions" is 1 for equal arms, does not depend on which arm stands first, and
#         is below .05 in one of twenty tests of equal arms; the guide's text rejects equality where p is small.
# Found:  mlxtend 0.25.0, SciPy 1.16.3; 10,000 clicks in each arm:
#           2.0 % and 2.8 %   p = .0001        2.8 % and 2.0 %   p = .9999        2.0 % and 2.0 %   p = .5
#         p is the normal distribution function at z, so only "the first is worse" can be found. Of 2,000 pairs of equal
#         arms 5 % are below .05, all with the first arm worse; of 2,000 pairs whose first arm is better by .8 points
#         none is. (The guide's example has the worse model first.) No argument for the side, no message.
# Cure:   2 * norm.sf(abs(z)) of the z that it returns.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    mlxtend==0.25.0 scikit-learn==1.8.0 pandas==2.3.3 numpy==2.3.5 scipy==1.16.3
"$work/v/bin/python" -W error::RuntimeWarning - <<'PY'
import numpy as np
from mlxtend.evaluate import proportion_difference
from scipy.stats import norm

CLICKS, PAIRS = 10_000, 2_000
given = {}
for pair in ((0.020, 0.028), (0.028, 0.020), (0.020, 0.020)):
    z, p = proportion_difference(*pair, n_1=CLICKS)
    given[pair] = p
    print(pair, f"z {z:.2f} p {p:.4f} two-sided {2 * norm.sf(abs(z)):.4f}")
assert given[0.020, 0.028] < 0.001 and given[0.028, 0.020] > 0.999, "both orders are found now"
assert given[0.020, 0.020] == 0.5, "equal arms have p = 1"

draw = np.random.default_rng(0)
for name, rates in (("equal", (0.02, 0.02)), ("the first better", (0.028, 0.02))):
    bought = draw.binomial(CLICKS, rates, (PAIRS, 2)) / CLICKS
    tests = [proportion_difference(*row, n_1=CLICKS) for row in bought]
    found = np.array([p < 0.05 for _, p in tests])
    usual = np.array([2 * norm.sf(abs(z)) < 0.05 for z, _ in tests])
    print(f"{name}: p below .05 in {found.mean():.1%}, two-sided {usual.mean():.1%}")
    if rates[0] == rates[1]:
        assert 0.03 < found.mean() < 0.07 and (bought[found, 0] < bought[found, 1]).all(), "both sides are found"
    else:
        assert found.sum() == 0 and usual.mean() > 0.9, "the better first arm is found now"
PY
