#!/usr/bin/env bash
# The time splitters of scikit-lego and mlxtend train on 19 days of a log of 60, if a log of 40 was split before.
#
# Guess:  a splitter is its arguments: with n_splits and without a training length, each log is used whole, as by
#         scikit-learn's TimeSeriesSplit, and a second call answers as a new splitter does.
# Found:  scikit-lego 0.9.10, mlxtend 0.25.0, pandas 2.3.3; three folds of 7 days, an hourly log of 40 days, then of 60:
#           training days of the second     TimeGapSplit   GroupTimeSeriesSplit, expanding
#           a new splitter                  39 39 39       39 46 53
#           the one used before             19 19 19       19 26 33, and the first 20 days are in no fold
#         The length worked out from the first log is stored as the argument; the next call finds it set. mlxtend's
#         keeps n_splits in the same way when train_size is given. No message.
# Cure:   make a splitter for each log.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    scikit-lego==0.9.10 mlxtend==0.25.0 scikit-learn==1.8.0 pandas==2.3.3 numpy==2.3.5 scipy==1.16.3
"$work/v/bin/python" -W ignore - <<'PY'
from datetime import timedelta

import numpy as np
import pandas as pd
from mlxtend.evaluate import GroupTimeSeriesSplit
from sklego.model_selection import TimeGapSplit

HOURS, WEEK = 24, 7
log = pd.DataFrame({"date": pd.date_range("2026-01-01", periods=60 * HOURS, freq="h")})
day = np.arange(len(log)) // HOURS
first = 40 * HOURS


def by_gap():
    splitter = TimeGapSplit(log["date"], valid_duration=timedelta(days=WEEK), n_splits=3)
    return splitter, lambda rows: splitter.split(log[:rows])


def by_group():
    splitter = GroupTimeSeriesSplit(test_size=WEEK, n_splits=3, shift_size=WEEK, window_type="expanding")
    return splitter, lambda rows: splitter.split(log[:rows], groups=day[:rows])


for made, new, used in ((by_gap, [39, 39, 39], [19, 19, 19]), (by_group, [39, 46, 53], [19, 26, 33])):
    splitter, split = made()
    list(split(first))
    again = list(split(len(log)))
    fresh = list(made()[1](len(log)))
    lengths = [[round(len(train) / HOURS) for train, _ in folds] for folds in (fresh, again)]
    starts = min(train[0] for train, _ in again) // HOURS
    print(type(splitter).__name__, "new", lengths[0], "used before", lengths[1], "first day", starts)
    assert lengths[0] == new, "a new splitter"
    assert lengths[1] == used, "the second log is used whole"
PY
