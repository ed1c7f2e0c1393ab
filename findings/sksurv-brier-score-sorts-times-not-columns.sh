#!/usr/bin/env bash
# scikit-survival's Brier score sorts the times it is given, and leaves the columns of predictions as they are.
#
# Guess:  column j belongs to times[j], as the documentation of its AUC says; times in another order give the same
#         numbers in that order, or an error.
# Found:  scikit-survival 0.28.0, NumPy 2.2.6; 4,000 clicks, the true survival at 1, 7 and 30 days:
#           in order     Brier .099 .180 .089   integrated .135
#           30, 1, 7     Brier .643 .363 .231   integrated .340   (each column judged at another day)
#         cumulative_dynamic_auc does the same, and answers sorted without its times, so even one column of risks
#         gives [.784, .805, .859] for 30, 1, 7 days, and two numbers for [7, 7, 1]. The true model looks worse than
#         a constant, and the day that is read off is another one. No message.
# Cure:   sort times and columns together before the call, each time once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    scikit-survival==0.28.0 scikit-learn==1.9.1 pandas==2.3.3 numpy==2.2.6 scipy==1.16.3
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from sksurv.metrics import brier_score, cumulative_dynamic_auc, integrated_brier_score
from sksurv.util import Surv

CLICKS, DAYS, ORDER = 4_000, np.array([1.0, 7.0, 30.0]), [2, 0, 1]
draw = np.random.default_rng(0)
risk = draw.normal(size=CLICKS)
delay, watched = draw.exponential(10 * np.exp(-risk)), draw.uniform(5, 40, CLICKS)
seen = Surv.from_arrays(delay <= watched, np.minimum(delay, watched))
survival = np.exp(-np.outer(np.exp(risk) / 10, DAYS))
constant = np.tile(survival.mean(axis=0), (CLICKS, 1))


def measured(order, columns):
    """Brier score of each time, the integrated one, AUC of each time."""
    times, chosen = DAYS[order], columns[:, order]
    each = brier_score(seen, seen, chosen, times)[1]
    return each, integrated_brier_score(seen, seen, chosen, times), cumulative_dynamic_auc(seen, seen, risk, times)[0]


straight, turned = measured([0, 1, 2], survival), measured(ORDER, survival)
rate = measured([0, 1, 2], constant)
for name, line in (("1, 7, 30 days", straight), ("30, 1, 7 days", turned), ("a constant", rate)):
    print(f"{name}: Brier {line[0].round(3)}, integrated {line[1]:.3f}, AUC {line[2].round(3)}")
twice = cumulative_dynamic_auc(seen, seen, risk, [7.0, 7.0, 1.0])[0]
print("AUC at 7, 7, 1:", twice.round(3))
assert straight[1] < rate[1], "the true model beats the constant"
assert turned[1] > 1.5 * rate[1] and np.abs(turned[0] - straight[0]).min() > 0.1, "columns are sorted too"
assert np.array_equal(turned[2], straight[2]) and len(set(straight[2])) == 3, "AUC comes in the order asked"
assert len(twice) == 2, "each time asked is answered"
PY
