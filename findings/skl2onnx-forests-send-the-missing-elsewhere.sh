#!/usr/bin/env bash
# skl2onnx's forests send a missing value down the other branch: AUC .84 becomes .68, or .34 with ExtraTrees.
#
# Guess:  a random forest that was trained with NaN is converted with the branch it learned for them, or refused.
# Found:  skl2onnx 1.20.0, scikit-learn 1.7.2, onnx 1.18.0, onnxruntime 1.32.0: rows without a gap agree to 1e-7; with
#         one, every NaN goes to the false branch. The 30 % of rows whose missing price meant "converts" (rate
#         .5, low prices .4, others .05) are scored .06 by a forest, .10 by ExtraTrees, .05 by a tree. Neither the
#         converter nor the runtime says a word. (Issue 1253 has the cause; treelite had the same one, issue 706.)
# Cure:   fill missing values before the forest, and compare the file with the model on rows with gaps.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    skl2onnx==1.20.0 onnx==1.18.0 onnxruntime==1.32.0 scikit-learn==1.7.2 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

draw = np.random.default_rng(0)
rows = draw.normal(size=(6_000, 2)).astype(np.float32)
gap = draw.random(6_000) < 0.3
rows[gap, 0] = np.nan
bought = (draw.random(6_000) < np.where(gap, 0.5, np.where(rows[:, 0] < -1, 0.4, 0.05))).astype(int)


def compared(model):
    """Greatest difference with and without a gap, mean score of the rows with one, AUC of model and file."""
    model.fit(rows, bought)
    file = to_onnx(model, rows[:1], options={"zipmap": False}, target_opset=17)
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    true, given = model.predict_proba(rows)[:, 1], session.run(None, {"X": rows})[1][:, 1]
    apart = np.abs(true - given)
    auc = [round(float(roc_auc_score(bought, score)), 2) for score in (true, given)]
    means = [float(score[gap].mean()) for score in (true, given)]
    line = float(apart[gap].max()), float(apart[~gap].max()), *means, *auc
    print(f"{type(model).__name__}: with a gap {line[0]:.3f}, without {line[1]:.1e}, rows with one scored", end=" ")
    print(f"{line[2]:.2f}, ONNX {line[3]:.2f}; AUC {line[4]}, ONNX {line[5]}")
    return line


for model in (RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier):
    choice = {} if model is DecisionTreeClassifier else {"n_estimators": 50}
    line = compared(model(max_depth=4, random_state=0, **choice))
    assert line[1] < 1e-5, "rows without a gap agree"
    assert line[0] > 0.2 and line[3] < 0.15 < 0.3 < line[2] and line[4] - line[5] > 0.1, "the gap takes its branch"
PY
