#!/usr/bin/env bash
# rexmex: its score card computes the recall first, which replaces the scores by zeros and ones, then an AUC of those.
#
# Guess:  a metric reads its two arrays; their order does not matter, and the scores are the same afterwards.
# Found:  rexmex 0.1.3, scikit-learn 1.3.2, NumPy 1.26.4: recall, precision, accuracy, f1 and four more set each score
#         below .5 to 0 and the others to 1, in the array that was handed in. Conversion scores are all below .5:
#         ScoreCard of the library's own ClassificationMetricSet has AUC .5 and average precision .05 (the base rate)
#         for a model of .85 and .61, and the caller's predictions are zeros afterwards, for whatever is saved or
#         drawn from them next. No message. (That .5 divides is their issue 44; not that the array changes.)
# Cure:   hand a copy of the scores to one metric at a time.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    rexmex==0.1.3 scikit-learn==1.3.2 numpy==1.26.4 pandas==2.1.4 scipy==1.11.4 six==1.17.0 "setuptools<81"
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from rexmex.metricset import ClassificationMetricSet
from rexmex.scorecard import ScoreCard

draw = np.random.default_rng(0)
bought = (draw.random(5_000) < 0.05).astype(int)
scores = 0.02 + 0.05 * draw.random(5_000) + 0.05 * bought * draw.random(5_000)
metrics = ClassificationMetricSet()
changed, alone = [], {}
for name, metric in metrics.items():
    given = scores.copy()
    alone[name] = metric(bought, given)
    if not np.array_equal(given, scores):
        changed.append(name)
given = scores.copy()
card = ScoreCard(metrics).get_performance_metrics(bought, given).iloc[0]
print("overwrite:", changed)
for name in ("roc_auc", "average_precision"):
    print(name, "alone", round(alone[name], 3), "score card", round(float(card[name]), 3))
print("scores afterwards", np.unique(given))
assert alone["roc_auc"] > 0.8 and alone["average_precision"] > 0.3, "the model ranks"
assert {"recall", "precision", "accuracy", "f1"} <= set(changed), "the scores are left alone now"
assert card["roc_auc"] == 0.5 and set(given) == {0.0}, "the score card has the model's AUC now"
PY
