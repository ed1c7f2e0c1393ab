#!/usr/bin/env bash
# MAPIE's calibration error by "array split" is .009 for scores turned upside down, and .096 once the rows are sorted.
#
# Guess:  "array split" makes bins of equally many rows, as "quantile" does; a calibration error does not depend on the
#         order of the rows.
# Found:  mapie 1.6.0, scikit-learn 1.7.2, NumPy 2.2.6; 20,000 rows of a rate of .09, 50 bins:
#                                      array split   sorted by score   quantile
#           true probabilities            .004         .012              .011
#           spread a fifth of the truth's .004         .044              .043
#           truth turned upside down      .009         .096              .096
#         The rows are cut into 50 pieces as they come, and the greatest score of each piece becomes a bound: all bounds
#         lie at the top of the scale, and nearly every row falls into the first bin, where only the mean counts. A
#         model that is wrong everywhere passes; rows sorted by time or by user give bounds of their own. No message.
# Cure:   split_strategy="quantile", or sort by score first. ("uniform" puts rare scores into few bins.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check mapie==1.6.0 scikit-learn==1.7.2 numpy==2.2.6 scipy==1.15.3
"$work/v/bin/python" -W error::RuntimeWarning - <<'PY'
import numpy as np
from mapie.metrics.calibration import expected_calibration_error

ROWS = 20_000
draw = np.random.default_rng(0)
truth = draw.beta(2, 20, ROWS)
bought = (draw.random(ROWS) < truth).astype(int)
mean = truth.mean()
turned = np.empty(ROWS)
turned[np.argsort(truth)] = np.sort(truth)[::-1]
print("rate", round(bought.mean(), 3))
found = {}
for name, scores in (("true", truth), ("a fifth of the spread", mean + 0.2 * (truth - mean)), ("turned", turned)):
    order = np.argsort(scores, kind="stable")
    found[name] = np.array([
        expected_calibration_error(bought, scores, split_strategy="array split"),
        expected_calibration_error(bought[order], scores[order], split_strategy="array split"),
        expected_calibration_error(bought, scores, split_strategy="quantile"),
    ])
    print(f"{name:22} array split {found[name][0]:.4f}, sorted {found[name][1]:.4f}, quantile {found[name][2]:.4f}")
    assert abs(found[name][1] - found[name][2]) < 0.003, "sorted rows have the usual bins"
assert found["turned"][0] < 0.012 < 0.08 < found["turned"][1], "the order of rows does not matter now"
flat = found["a fifth of the spread"]
assert flat[0] <= found["true"][0] < flat[2] / 5, "it tells the true from the flat"
PY
