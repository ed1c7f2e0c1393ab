#!/usr/bin/env bash
# skl2onnx leaves SimpleImputer's add_indicator out: the probabilities of a row sum to .95 up to 1.94.
#
# Guess:  SimpleImputer(add_indicator=True) with a logistic regression is converted, or the conversion raises, as it
#         does when a StandardScaler stands between them.
# Found:  skl2onnx 1.20.0, scikit-learn 1.7.2, onnx 1.18.0, onnxruntime 1.32.0: the graph is Imputer and
#         LinearClassifier, without the indicator's columns, and the weights of three columns are laid over rows of
#         two. Rows with a missing value: mean .05 where scikit-learn says .27; rows without: .13 instead of .05.
#         Neither the converter nor the runtime says anything, and a missing value (no price, no earlier visit) is just
#         what the indicator was added for.
# Cure:   make the indicator a column before the pipeline; compare the file with the model on rows with gaps.
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
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

draw = np.random.default_rng(0)
rows = draw.normal(size=(4_000, 2)).astype(np.float32)
missing = draw.random(4_000) < 0.3
rows[missing, 0] = np.nan
bought = (draw.random(4_000) < np.where(missing, 0.3, 0.05)).astype(int)


def both(pipeline):
    """The model's probabilities and its file's."""
    pipeline.fit(rows, bought)
    file = to_onnx(pipeline, rows[:1], options={"zipmap": False}, target_opset=17)
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    print([node.op_type for node in file.graph.node])
    return pipeline.predict_proba(rows), session.run(None, {"X": rows})[1]


model, file = both(make_pipeline(SimpleImputer(), LogisticRegression()))
assert abs(model - file).max() < 1e-5, "without the indicator they agree"
model, file = both(make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()))
for name, some in (("missing", missing), ("known", ~missing)):
    print(f"{name}: scikit-learn {model[some, 1].mean():.3f} ONNX {file[some, 1].mean():.3f}", end="; ")
print("sums of a row", file.sum(axis=1).min().round(2), "to", file.sum(axis=1).max().round(2))
assert file[missing, 1].mean() < 0.1 < 0.2 < model[missing, 1].mean(), "the indicator is there"
assert abs(file.sum(axis=1) - 1).max() > 0.05, "probabilities sum to 1"
try:
    both(make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()))
except RuntimeError as error:
    print("with a scaler between:", str(error)[:60])
else:
    raise AssertionError("the scaler's shape is no longer compared")
PY
