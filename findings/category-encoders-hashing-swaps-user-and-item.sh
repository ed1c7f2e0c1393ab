#!/usr/bin/env bash
# category_encoders' HashingEncoder gives (user 1, item 2) and (user 2, item 1) the same row.
#
# Guess:  a hashed table keeps its columns apart: the column's name goes into the hash, as in scikit-learn's
#         FeatureHasher, or each column has buckets of its own.
# Found:  category_encoders 2.11.2, pandas 2.3.3: only the value is hashed, and all columns count into one set of
#         buckets. The two rows are equal with any n_components; user 7 with item 7 is one bucket of 2. Labels that
#         follow the pair and not its sum (user 1 buys item 2, not the other way) cannot be learned: AUC .50 of a
#         forest in its own training rows, 1.00 with the column's name before each value.
#         Integer ids of users, items and shops share their small numbers, so all of them meet. No message.
# Cure:   put the column's name before each value, or one HashingEncoder for each column.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    category_encoders==2.11.2 pandas==2.3.3 numpy==2.2.6 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import pandas as pd
from category_encoders import HashingEncoder
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

pairs = pd.DataFrame([(u, i) for u in range(1, 13) for i in range(1, 13) if u != i], columns=["user", "item"])
bought = (pairs.user < pairs["item"]).astype(int)


def hashed(frame):
    return HashingEncoder(cols=["user", "item"], n_components=256, max_process=1).fit_transform(frame)


def auc(frame):
    model = RandomForestClassifier(50, random_state=0).fit(frame, bought)
    return round(roc_auc_score(bought, model.predict_proba(frame)[:, 1]), 2)


plain = hashed(pairs)
named = hashed(pairs.apply(lambda column: column.name + "=" + column.astype(str)))
swapped = pairs.rename(columns={"user": "item", "item": "user"})[["user", "item"]]
same = bool((hashed(swapped).to_numpy() == plain.to_numpy()).all())
twice = int(hashed(pd.DataFrame({"user": [7], "item": [7]})).to_numpy().max())
print("users and items exchanged, the same table:", same, "| 7 and 7:", twice, "| AUC", auc(plain), auc(named))
assert same and twice == 2, "columns are kept apart"
assert auc(plain) < 0.6 and auc(named) > 0.95, "the pair can be learned"
PY
