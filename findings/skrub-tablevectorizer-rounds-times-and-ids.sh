#!/usr/bin/env bash
# skrub's TableVectorizer with numeric="passthrough" rounds every number to float32: users merge, minutes vanish.
#
# Guess:  "passthrough", the default for numbers, passes them through: int64 in, int64 out.
# Found:  skrub 0.11.0, pandas 2.3.3, scikit-learn 1.7.2: int64, float64 and texts of digits come out as float32, and
#         so does the second count that it makes of a date itself. 1700000000 and 1700000060 are one number, so are
#         users 16777216 and 16777217: 1,000 neighbouring ids become 501, a day's 1,440 minutes 676. What a tree could
#         split in the table itself (a change at 12:00:30, one user) it can no longer see. No message.
#         (That numbers become float32 stands in the guide; that ids and times lose their digits does not.)
# Cure:   specific_transformers=[("passthrough", columns)] for ids and times; seconds of the day instead of Unix time.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check skrub==0.11.0 pandas==2.3.3 numpy==1.26.4 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from skrub import TableVectorizer

ROWS = 1_440
second = 1_700_000_000 + 60 * np.arange(ROWS)
table = pd.DataFrame(
    {
        "second": second,
        "user": 2**24 + np.arange(ROWS) % 1_000,
        "text": [str(2**24 + k % 1_000) for k in range(ROWS)],
        "date": pd.to_datetime(second, unit="s"),
        "price": np.arange(ROWS) / 100,
    }
)
out = TableVectorizer(numeric="passthrough").fit_transform(table)
count = {name: out[name].nunique() for name in ("second", "user", "text", "date_total_seconds", "price")}
print({name: str(kind) for name, kind in out.dtypes.items()})
print("different values, of 1,440 minutes, 1,000 users and 1,440 prices:", count)
kept = TableVectorizer(specific_transformers=[("passthrough", ["second", "user"])]).fit_transform(table)
assert {str(kind) for kind in out.dtypes} == {"float32"}, "a type passes through"
assert count["second"] < 800 and count["date_total_seconds"] < 800, "minutes are kept"
assert count["user"] < 600 and count["text"] < 600 and count["price"] == ROWS, "users are kept"
assert kept["second"].nunique() == ROWS and kept["user"].nunique() == 1_000, "the cure"
PY
