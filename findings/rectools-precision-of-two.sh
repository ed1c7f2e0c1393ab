#!/usr/bin/env bash
# RecTools: Precision@1 is 2.0 for a user who bought the recommended item twice.
#
# Guess:  precision is a share: 1 at most, and a second purchase of the same item changes nothing, or is refused.
# Found:  RecTools 0.19.0, pandas 2.3.3, one item recommended and bought twice in the test days:
#           Precision@1 2.0   NDCG@1 2.0   MAP@1, Recall@1, HitRate@1 and MRR@1 1.0
#         Two items recommended, one bought twice, another never recommended bought once: Precision@2 is 1.0 (.5),
#         Recall@2 .67 (.5). Repeat purchases lift a model that recommends them, by an amount that no share has.
# Cure:   drop_duplicates on (user_id, item_id) before calc.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check RecTools==0.19.0 pandas==2.3.3
"$work/v/bin/python" -W ignore::DeprecationWarning -W ignore::FutureWarning - <<'PY'
import pandas as pd
from rectools.metrics import MAP, MRR, NDCG, HitRate, Precision, Recall

KEYS = ["user_id", "item_id"]


def measured(bought, shown, k):
    bought = pd.DataFrame([(1, item) for item in bought], columns=KEYS)
    shown = pd.DataFrame([(1, item, rank) for rank, item in enumerate(shown, 1)], columns=[*KEYS, "rank"])
    metrics = (Precision(k=k), NDCG(k=k), MAP(k=k), Recall(k=k), HitRate(k=k), MRR(k=k))
    return [
        {type(metric).__name__: round(float(metric.calc(shown, table)), 3) for metric in metrics}
        for table in (bought, bought.drop_duplicates())
    ]


twice, once = measured([10, 10], [10], 1)
print("bought twice", twice)
print("bought once ", once)
mixed, distinct = measured([10, 10, 99], [10, 11], 2)
print("with a miss ", mixed)
print("distinct    ", distinct)
assert set(once.values()) == {1.0}, "the cure"
assert (twice["Precision"], twice["NDCG"]) == (2.0, 2.0), "precision is a share"
assert {twice[name] for name in ("MAP", "Recall", "HitRate", "MRR")} == {1.0}
assert (mixed["Precision"], mixed["Recall"]) == (1.0, 0.667)
assert (distinct["Precision"], distinct["Recall"]) == (0.5, 0.5)
PY
