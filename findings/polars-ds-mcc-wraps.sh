#!/usr/bin/env bash
# polars-ds: the Matthews correlation of a model is .80 on few rows and .23 on two million of the same kind.
#
# Guess:  query_mcc does not depend on the number of rows, as scikit-learn's does not.
# Found:  polars-ds 0.13.0, polars 2.1.0, scikit-learn 1.7.2: true positives times true negatives is made in 32 bits
#         and wraps beyond 4,294,967,295, that is from 65,536 times 65,536 on. 100,000 rows .8, 200,000 rows .37; of
#         rare events 3,000 hits beside 2,000,000 true negatives are enough: .23 for .80. The mcc of
#         query_confusion_matrix(all_metrics=True) is right. No message.
# Cure:   the mcc of query_confusion_matrix.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    polars-ds==0.13.0 polars==2.1.0 scikit-learn==1.7.2 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import polars as pl
import polars_ds as pds
from sklearn.metrics import matthews_corrcoef


def measured(label, guess):
    frame = pl.DataFrame({"label": label, "guess": guess})
    whole = pds.query_confusion_matrix("label", "guess", all_metrics=True).struct.field("mcc")
    found = frame.select(mcc=pds.query_mcc("label", "guess"), whole=whole).row(0)
    return [round(float(x), 3) for x in (*found, matthews_corrcoef(label, guess))]


def even(rows):
    label = np.arange(rows) % 2
    return label, np.where(np.arange(rows) < rows // 10, 1 - label, label)


def rare(hits=3_000, misses=500, false=1_000, quiet=2_000_000):
    label = np.repeat([1, 1, 0, 0], [hits, misses, false, quiet])
    return label, np.repeat([1, 0, 1, 0], [hits, misses, false, quiet])


shown = {rows: measured(*even(rows)) for rows in (10_000, 100_000, 200_000)} | {"rare": measured(*rare())}
for name, (mcc, whole, truth) in shown.items():
    print(name, "query_mcc", mcc, "confusion matrix", whole, "scikit-learn", truth)
    assert whole == truth, "the confusion matrix"
assert shown[100_000][0] == shown[100_000][2] == 0.8, "few rows"
assert shown[200_000][0] < 0.5 and shown[200_000][2] == 0.8, "many rows are right now"
assert abs(shown["rare"][0] - shown["rare"][2]) > 0.2, "rare events are right now"
PY
