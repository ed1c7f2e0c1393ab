#!/usr/bin/env bash
# imbalanced-learn's RandomOverSampler returns other ids than it was given, in the rows it only repeats too.
#
# Guess:  a sampler that draws rows again copies them: every id of the answer is one of the input's, and without
#         the repeats the table is the same.
# Found:  imbalanced-learn 0.14.2, scikit-learn 1.7.2, pandas 2.3.3; int64 ids of 61 bits beside a float price:
#           992 of 1,000 rows come back with another id, up to 128 away, and the column is int64 as before
#           two neighbouring ids become one: 500 users in, 251 out
#         TomekLinks does it too, RandomUnderSampler does not. A frame of the ids alone is kept, and so is one with
#         a text column: the numbers pass through one float64 table and get their old type back, no message.
#         A join or a count by user after balancing finds nobody, or another user's history.
# Cure:   resample the row numbers (a frame of one int column) and take the rows by them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    imbalanced-learn==0.14.2 scikit-learn==1.7.2 pandas==2.3.3 numpy==2.2.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler, TomekLinks

ROWS = 1_000
draw = np.random.default_rng(0)
bought = (np.arange(ROWS) < 30).astype(int)
ids, price = draw.integers(2**60, 2**61, ROWS), draw.random(ROWS)


def kept(sampler, frame):
    """Share of rows of the answer whose id stands in the input."""
    rows, _ = sampler.fit_resample(frame, bought)
    assert rows.user.dtype == "int64"
    return rows.user.isin(frame.user).mean()


both = pd.DataFrame({"user": ids, "price": price})
over, tomek = kept(RandomOverSampler(random_state=0), both), kept(TomekLinks(), both)
under = kept(RandomUnderSampler(random_state=0), both)
alone = kept(RandomOverSampler(random_state=0), both[["user"]])
text = kept(RandomOverSampler(random_state=0), both.assign(page="x"))
print(f"ids that are the input's: over {over:.3f}, Tomek {tomek:.3f}, under {under}, ids alone {alone}, text {text}")
first = RandomOverSampler(random_state=0).fit_resample(both, bought)[0].user[:ROWS].to_numpy()
print("of the first 1,000 rows changed", (first != ids).sum(), "by at most", abs(first - ids).max())
pairs = pd.DataFrame({"user": 2**53 + np.arange(ROWS) // 2, "price": price})
merged = RandomOverSampler(random_state=0).fit_resample(pairs, bought)[0].user.nunique()
print("users", pairs.user.nunique(), "->", merged)
assert over < 0.01 and tomek < 0.01 and (first != ids).mean() > 0.99, "ids are kept"
assert merged < 0.6 * pairs.user.nunique(), "neighbours stay apart"
assert under == alone == text == 1, "the other ways keep the ids"
PY
