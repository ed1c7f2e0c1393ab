#!/usr/bin/env bash
# scikit-survival's concordance index calls risks that differ by less than 1e-8 equal.
#
# Guess:  an order statistic does not depend on the unit; a risk per second ranks as one per hour.
# Found:  scikit-survival 0.28.0, NumPy 2.2.6, Python 3.11:
#           risks per hour   1.0   risks per second 0.5, all pairs tied, no warning
#         (`tied_tol=1e-8` is absolute). A conversion hazard of 2 % a day is 2.3e-7 a second, and
#         two items of one shop differ by less than the tolerance.
# Cure:   rank the risks first, or pass tied_tol=0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check scikit-survival==0.28.0 numpy==2.2.6
"$work/v/bin/python" - <<'PY'
import numpy as np
from sksurv.metrics import concordance_index_censored

converted = np.array([True] * 4)
hours = np.array([1.0, 2.0, 3.0, 4.0])
per_hour = np.array([4.0, 3.0, 2.0, 1.0]) * 1e-5
hourly = concordance_index_censored(converted, hours, per_hour)
secondly = concordance_index_censored(converted, hours, per_hour / 3600)
print("per hour", hourly, "per second", secondly)
assert hourly[0] == 1.0, "the order itself"
assert secondly[0] == 0.5, "no longer tied"
assert secondly[3] == 6, "pairs called tied"
PY
