#!/usr/bin/env bash
# gbstats: the one-sided interval of "the treatment is worse" ends below its own estimate, and two equal arms are worse.
#
# Guess:  the interval of a one-sided test holds the estimate; its end is above it, as the lower end of the other side
#         is below; of two equal arms 5 % give an interval below 0, those whose p is below .05.
# Found:  gbstats 0.8.0 (the newest on PyPI; GrowthBook's repository reworked these intervals in 2025), SciPy 1.13.1;
#         two arms of 20,000 users, 400 conversions each, estimate 0, p .5:
#           greater  -.0023 to inf      lesser  -inf to -.0023
#         Of 2,000 pairs of equal arms 95 % have a whole interval below 0, and p below .05 in 5 %. The width is taken
#         from the estimate where it is to be added. "Stop when the interval excludes no harm" stops nearly each test.
# Cure:   2 * estimate minus the end that it gives; or p alone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    gbstats==0.8.0 pydantic==2.14.4 numpy==1.26.4 scipy==1.13.1 pandas==1.5.3
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from gbstats.frequentist.tests import (
    FrequentistConfig,
    OneSidedTreatmentGreaterTTest,
    OneSidedTreatmentLesserTTest,
)
from gbstats.models.statistics import ProportionStatistic

USERS, RATE, PAIRS = 20_000, 0.02, 2_000
config = FrequentistConfig(difference_type="absolute")


def tested(kind, *bought):
    arms = (ProportionStatistic(n=USERS, sum=int(count)) for count in bought)
    return kind(*arms, config).compute_result()


ends = {}
for kind in (OneSidedTreatmentGreaterTTest, OneSidedTreatmentLesserTTest):
    result = tested(kind, 400, 400)
    ends[kind] = result.ci
    print(kind.__name__, "estimate", result.expected, "interval", np.round(result.ci, 4), "p", round(result.p_value, 3))
    assert result.expected == 0 and abs(result.p_value - 0.5) < 1e-9, "two equal arms"
greater, lesser = ends.values()
assert greater[0] < 0 and lesser[1] == greater[0], "the end is above the estimate"

counts = np.random.default_rng(0).binomial(USERS, RATE, (PAIRS, 2))
results = [tested(OneSidedTreatmentLesserTTest, *pair) for pair in counts]
worse = np.mean([result.ci[1] < 0 for result in results])
small = np.mean([result.p_value < 0.05 for result in results])
print(f"equal arms: interval below 0 in {worse:.1%}, p below .05 in {small:.1%}")
assert worse > 0.9 and 0.03 < small < 0.07, "the interval agrees with p now"
PY
