#!/usr/bin/env bash
# Microsoft's Recommenders: AUC and log loss cross the rows of a pair that comes twice.
#
# Guess:  two tables of the same rows, labels in one and scores in the other, are compared row by row: scores that
#         put every bought row before every other one have AUC 1.
# Found:  recommenders 1.2.1, scikit-learn 1.7.2, pandas 2.3.3: the tables are joined on (user, item), so a pair
#         shown n times makes n * n rows, each label beside each score. Four rows scored .9 where bought and .1
#         where not, two of them one pair: AUC .67 instead of 1, log loss .84 instead of .11. No message.
#         Repeated exposures of an item are the rule in a click log, and they weigh by the square of their number.
#         (The docs of rmse and mae ask for pairs that come once; those of auc and logloss do not.)
# Cure:   give every exposure an id of its own as col_item, or call scikit-learn on the two columns.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check scikit-learn==1.7.2 pandas==2.3.3 numpy==2.2.6
"$work/v/bin/pip" install -q --disable-pip-version-check --no-deps recommenders==1.2.1
"$work/v/bin/python" -W error - <<'PY'
import pandas as pd
from recommenders.evaluation import python_evaluation as evaluation
from sklearn.metrics import log_loss, roc_auc_score

keys = {"userID": [1, 1, 2, 3], "itemID": [7, 7, 7, 8]}
labels, scores = [1, 0, 0, 1], [0.9, 0.1, 0.1, 0.9]
true = pd.DataFrame({**keys, "rating": labels})
scored = pd.DataFrame({**keys, "prediction": scores})


def both(true, scored):
    return tuple(round(float(metric(true, scored)), 3) for metric in (evaluation.auc, evaluation.logloss))


by_hand = round(roc_auc_score(labels, scores), 3), round(log_loss(labels, scores), 3)
found = both(true, scored)
print("rows by hand (AUC, log loss)", by_hand)
print("recommenders                ", found)
joined = true.merge(scored, on=["userID", "itemID"])
print(f"{len(true)} rows, {len(joined)} joined")
assert both(true.iloc[1:], scored.iloc[1:]) == by_hand == (1.0, 0.105)
assert both(true.assign(itemID=range(4)), scored.assign(itemID=range(4))) == by_hand, "the cure"
assert found == (0.667, 0.838), "rows are compared one by one"
PY
