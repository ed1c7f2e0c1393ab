#!/usr/bin/env bash
# Venn-ABERS calibration gives the best-scored row of a rare event a probability of a third or a half.
#
# Guess:  a calibrator leaves scores that are right already nearly as they are, with 100,000 rows at the latest.
# Found:  venn-abers 1.5.4, scikit-learn 1.7.2; scores that are the true probabilities, .004 at most, 20,000 and 100,000
#         rows to calibrate on, as many new ones: the best new row gets .34 to .51, the best ten 42 to 67 times the
#         truth on average, where isotonic regression gives them 1 to 12 times. More rows do not help: a row at the top
#         of the scale is judged by a set of few rows and one conversion that is imagined in it.
#         The best-scored rows are the ones that a bid or a slot goes to. (p1 - p0 of these rows tells, it is
#         .45 to 1.0; the probability alone does not.)
# Cure:   look at p1 - p0, and take another calibrator where it is wide; never bid on it at rare rates.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    venn-abers==1.5.4 scikit-learn==1.7.2 numpy==2.2.6 pandas==2.3.3
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from sklearn.isotonic import IsotonicRegression
from venn_abers import VennAbers

MOST, BEST = 0.004, 10
found = []
for rows in (20_000, 100_000):
    for seed in range(3):
        draw = np.random.default_rng(seed)
        truth, fresh = MOST * draw.uniform(size=rows), MOST * draw.uniform(size=rows)
        bought = (draw.uniform(size=rows) < truth).astype(int)
        model = VennAbers()
        model.fit(np.c_[1 - truth, truth], bought)
        given, interval = model.predict_proba(np.c_[1 - fresh, fresh])
        top = np.argsort(-fresh)[:BEST]
        isotonic = IsotonicRegression(out_of_bounds="clip").fit(truth, bought).predict(fresh)
        first, mean, plain = given[top[0], 1], given[top, 1].mean() / MOST, isotonic[top].mean() / MOST
        width = interval[top[0], 1] - interval[top[0], 0]
        found.append((first, mean, width))
        print(f"{rows} rows: the best row {first:.2f} (p1 - p0 {width:.2f});", end=" ")
        print(f"best ten, mean over truth {mean:.0f}, isotonic {plain:.1f}")
first, mean, width = np.array(found).T
assert (first > 50 * MOST).all(), "the best row is near its score"
assert (mean > 10).all(), "the best ten are near their scores"
assert (width > 0.4).all(), "the interval tells"
PY
