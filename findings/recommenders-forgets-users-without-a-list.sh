#!/usr/bin/env bash
# Microsoft's Recommenders leaves users whom the model gave nothing out of recall, precision and MAP, not of NDCG.
#
# Guess:  recall and hit share are means over the users of the truth: whoever bought and got no list has 0.
# Found:  recommenders 1.2.1, pandas 2.3.3: two users bought, one got a list. Recall, precision and MAP are 1.0, a mean
#         over the users of both tables, and NDCG .5, over those of the truth, side by side and without a message;
#         an empty list is no row, so it cannot be given.
#         RecTools 0.19.0 on the same tables: recall .5. A model that answers only for users it knows well (a minimum
#         of events, a look-up of known users) beats one that answers for all; adding a poor list lowers the figure.
#         (Only the docs of a helper, merge_ranking_true_pred, speak of "common users"; those of the metrics do not.)
# Cure:   add a row with an item that nobody bought for every user without a list.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    RecTools==0.19.0 scikit-learn==1.7.2 pandas==2.3.3
"$work/v/bin/pip" install -q --disable-pip-version-check --no-deps recommenders==1.2.1
"$work/v/bin/python" -W ignore::DeprecationWarning -W ignore::FutureWarning - <<'PY'
import pandas as pd
from recommenders.evaluation import python_evaluation as evaluation
from rectools.metrics import Recall

bought = pd.DataFrame({"userID": [1, 2], "itemID": [7, 8], "rating": [1.0, 1.0]})
lists = pd.DataFrame({"userID": [1], "itemID": [7], "prediction": [0.9]})
poor = pd.concat([lists, pd.DataFrame({"userID": [2], "itemID": [-1], "prediction": [0.9]})])
METRICS = (evaluation.recall_at_k, evaluation.precision_at_k, evaluation.ndcg_at_k, evaluation.map_at_k)


def measured(shown):
    return {metric.__name__: float(metric(bought, shown, k=1)) for metric in METRICS}


names = {"userID": "user_id", "itemID": "item_id"}
other = Recall(k=1).calc(lists.rename(columns=names).assign(rank=1), bought.rename(columns=names))
alone, padded = measured(lists), measured(poor)
print("one list  ", alone)
print("poor list ", padded)
print("RecTools, one list: recall", float(other))
assert other == 0.5
assert set(padded.values()) == {0.5}, "the cure"
assert alone.pop("ndcg_at_k") == 0.5
assert set(alone.values()) == {1.0}, "users without a list count"
PY
