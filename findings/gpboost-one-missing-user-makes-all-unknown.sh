#!/usr/bin/env bash
# GPBoost: one user without an id in a batch, and every user of it is scored as one never seen.
#
# Guess:  group 17 is group 17 as int64 or, beside a missing value, as float64: 17 == 17.0.
# Found:  gpboost 1.8.0, pandas 2.3.3, NumPy 2.2.6, logistic model with a random effect for each user: groups are
#         compared as texts, and pandas makes floats of a column with a gap, so "17" of the training is looked for as
#         "17.0". 3,000 rows, 50 users with rates of their own: AUC .74, and .5 with one id of the batch missing, since
#         all rows have one score (an unknown user's, which is no error). In a frame of user and shop a gap in
#         the shop makes floats of both, and the users are lost too. Text ids and int32 are found. No message.
# Cure:   make ids text before fit and before predict.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    gpboost==1.8.0 pandas==2.3.3 numpy==2.2.6 scipy==1.15.3 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import gpboost
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

draw = np.random.default_rng(0)
rows = 3000
user, shop = draw.integers(0, 50, rows), draw.integers(0, 5, rows)
liking = draw.normal(0, 1.2, 50)
bought = (draw.random(rows) < 1 / (1 + np.exp(1 - liking[user]))).astype(float)


def fitted(groups):
    model = gpboost.GPModel(group_data=groups, likelihood="bernoulli_logit", num_parallel_threads=1)
    model.fit(y=bought, X=np.ones((rows, 1)))
    return lambda asked: model.predict(X_pred=np.ones((rows, 1)), group_data_pred=asked, predict_response=True)["mu"]


def told(score):
    """AUC beside the first row, and how many scores there are."""
    return round(float(roc_auc_score(bought[1:], score[1:])), 2), len(np.unique(score.round(9)))


users, both = pd.Series(user), pd.DataFrame({"user": user, "shop": shop})
by_user, by_both = fitted(users), fitted(both)
found = {
    "ids": told(by_user(users)),
    "as text": told(by_user(users.astype(str))),
    "one missing": told(by_user(users.where(users.index > 0))),
    "user and shop": told(by_both(both)),
    "one shop missing": told(by_both(both.assign(shop=both["shop"].where(both.index > 0)))),
}
print(found)
assert found["ids"] == found["as text"] and found["ids"][0] > 0.65 and found["user and shop"][0] > 0.65, "the model"
assert found["one missing"] == found["one shop missing"] == (0.5, 1), "the other users are known now"
PY
