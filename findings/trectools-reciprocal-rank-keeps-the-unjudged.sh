#!/usr/bin/env bash
# trectools: removeUnjudged=True makes an NDCG of .53 one of .82, and leaves the reciprocal rank at .38 for .76.
#
# Guess:  removeUnjudged=True gives the condensed list to each measure that has the argument: items that were never
#         shown go, and the first bought one is ranked among the shown.
# Found:  trectools 0.0.50, pandas 2.3.3; 300 users, lists of 20 items of which 5 were shown and one of those bought:
#                        as it is    the shown only, by hand    removeUnjudged=True
#           NDCG@20        .53         .82                        .82
#           MRR            .38         .76                        .38
#           R-precision    .18         .60                        .18
#         The list is cut, and then the uncut one is ranked, with trec_eval=True and with False. One table then holds
#         condensed numbers beside others. No message.
# Cure:   drop the items that no one judged from the run before it is handed over.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    trectools==0.0.50 pandas==2.3.3 numpy==2.2.6 scipy==1.15.3 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from trectools import TrecEval, TrecQrel, TrecRun

USERS, ITEMS, SHOWN = 300, 20, 5
draw = np.random.default_rng(0)
rows, judged = [], []
for user in range(USERS):
    shown = draw.permutation(ITEMS)[:SHOWN]
    # The lower an item's number, the better the model ranks it; the bought one is rather a good one.
    bought = draw.choice(shown, p=(weight := np.exp(-shown / 4)) / weight.sum())
    rows += [(f"u{user}", "Q0", f"i{item}", item + 1, 1 - item / ITEMS, "model") for item in range(ITEMS)]
    judged += [(f"u{user}", "0", f"i{item}", int(item == bought)) for item in shown]
run = pd.DataFrame(rows, columns=["query", "q0", "docid", "rank", "score", "system"])
labels = TrecQrel()
labels.qrels_data = pd.DataFrame(judged, columns=["query", "q0", "docid", "rel"])


def measured(table, **options):
    model = TrecRun()
    model.load_run_from_dataframe(table.copy())
    judge = TrecEval(model, labels)
    return np.array([judge.get_ndcg(depth=ITEMS, **options), judge.get_reciprocal_rank(**options),
                     judge.get_rprec(**options)])


shown_only = run.merge(labels.qrels_data[["query", "docid"]])
whole, hand = measured(run), measured(shown_only)
found = {trec: measured(run, removeUnjudged=True, trec_eval=trec) for trec in (True, False)}
for name, values in (("all", whole), ("shown only", hand), ("removeUnjudged", found[True])):
    print(f"{name:15} NDCG@20 {values[0]:.3f}  MRR {values[1]:.3f}  R-precision {values[2]:.3f}")
assert (hand > whole + 0.1).all() and abs(found[True][0] - hand[0]) < 1e-9, "NDCG is of the condensed list"
for values in found.values():
    assert np.allclose(values[1:], whole[1:]), "the reciprocal rank is of the condensed list now"
PY
