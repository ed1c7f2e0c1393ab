#!/usr/bin/env bash
# category_encoders calls an integer id beyond 2**53 unknown in the very table it was fitted on.
#
# Guess:  fit_transform knows every id it has just seen.
# Found:  category_encoders 2.11.2, pandas 2.3.3, an Int64 column with one missing value:
#           OrdinalEncoder  2**53 + 1 -> -1 (unknown), no warning
#           OneHotEncoder   its row is all zeros        TargetEncoder  gives it the global mean
#         Ids pass through float64 on the way to the look-up. 64-bit hashed user ids are such ids.
# Cure:   make ids text before encoding.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    category_encoders==2.11.2 pandas==2.3.3 numpy==2.2.6 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import category_encoders as encoders
import numpy as np
import pandas as pd

rows = pd.DataFrame({"user": pd.array([2**53 + 1, 7, 7, None], dtype="Int64")})
label = pd.Series([1, 0, 1, 0])


def encoded(name, table=rows):
    made = getattr(encoders, name)(cols=["user"])
    return np.asarray(made.fit_transform(table, label), dtype=float)


ordinal, target, one_hot = (encoded(n) for n in ("OrdinalEncoder", "TargetEncoder", "OneHotEncoder"))
print(ordinal[:, 0], target[:, 0].round(3), one_hot[0])
assert ordinal[0, 0] == -1, "known now"
assert target[0, 0] == label.mean(), "its own mean now"
assert not one_hot[0].any(), "a column of its own now"
text = rows.assign(user=rows.user.astype("string").astype(object).where(rows.user.notna(), None))
assert encoded("OrdinalEncoder", text)[0, 0] == 1, "text ids are known"
PY
