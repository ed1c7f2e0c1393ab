#!/usr/bin/env bash
# Open Bandit Pipeline's interval of a self-normalized estimate resamples its terms, not its ratio.
#
# Guess:  a bootstrap of sum(w r) / sum(w) draws rows and divides anew: where every reward is 1 the
#         estimate is 1 in each draw, and so are both ends of the interval.
# Found:  obp 0.3.3 (the newest that Python 3.11 takes without PyTorch), NumPy 1.26.4:
#           estimate 1.0   interval .95 to 1.05 (1,000 rows, weights 5/9 and 5)
#         Each row's w r / mean(w) is made once, with the whole log's mean, and these are drawn. The
#         denominator never moves, so the interval is that of plain IPS about a value that is sure;
#         where rewards are rare and weights uneven it misses what self-normalizing takes away.
# Cure:   draw rows, and divide in every draw.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check --no-deps obp==0.3.3
"$work/v/bin/pip" install -q --disable-pip-version-check numpy==1.26.4 scipy==1.13.1 \
    scikit-learn==1.5.2 pandas==2.2.3 tqdm==4.67.1 pyyaml==6.0.2 matplotlib==3.9.4 seaborn==0.13.2
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from obp.ope import SelfNormalizedInverseProbabilityWeighting

rng = np.random.default_rng(0)
rows = 1000
action = rng.integers(0, 2, rows)
log = {
    "reward": np.ones(rows),
    "action": action,
    "pscore": np.where(action == 0, 0.9, 0.1),
    "action_dist": np.full((rows, 2, 1), 0.5),
    "position": np.zeros(rows, int),
}
estimator = SelfNormalizedInverseProbabilityWeighting()
value = estimator.estimate_policy_value(**log)
interval = estimator.estimate_interval(**log, random_state=0)
print("estimate", value, "interval", interval)
assert abs(value - 1.0) < 1e-12, "every reward is 1"
ends = [interval["95.0% CI (lower)"], interval["95.0% CI (upper)"]]
assert ends[0] < 0.97 and ends[1] > 1.03, "the interval is the ratio's"

weight = 0.5 / log["pscore"]
draws = rng.integers(0, rows, (200, rows))
ratios = (weight * log["reward"])[draws].sum(1) / weight[draws].sum(1)
assert np.ptp(ratios) < 1e-12, "the ratio itself does not move"
PY
