#!/usr/bin/env bash
# pytrec_eval rounds scores to float32 before it ranks, and puts the greater id first among equals.
#
# Guess:  Python's floats are compared as they are: an item seen a minute later ranks before the earlier one.
# Found:  pytrec-eval-terrier 0.5.10: 1700000060 and 1700000000 are equal (float32 keeps steps of 128 seconds there).
#         "The latest of 20 items of ten minutes", scored by its time: mean reciprocal rank .73; the same
#         times less the first one: 1. The baseline of recency is measured a quarter too low, and scores near 1
#         or below 1e-45 meet in the same way. No message.
# Cure:   give ranks, or subtract and scale first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check pytrec-eval-terrier==0.5.10 numpy==2.4.2
"$work/v/bin/python" -W error - <<'PY'
import numpy as np
import pytrec_eval


def reciprocal_ranks(bought, scores):
    judge = pytrec_eval.RelevanceEvaluator({user: {item: 1} for user, item in bought.items()}, {"recip_rank"})
    return np.mean([found["recip_rank"] for found in judge.evaluate(scores).values()])


pair = {"early": 1_700_000_000.0, "a_late": 1_700_000_060.0}
print("a minute later:", reciprocal_ranks({"user": "a_late"}, {"user": pair}))

draw = np.random.default_rng(0)
bought, times, since, ranks = {}, {}, {}, {}
for user in map(str, range(500)):
    seen = 1_700_000_000.0 + draw.choice(600, 20, replace=False)
    items = [f"item{i:02d}" for i in range(20)]
    bought[user] = items[int(seen.argmax())]
    times[user] = dict(zip(items, seen.tolist()))
    since[user] = dict(zip(items, (seen - seen.min()).tolist()))
    ranks[user] = dict(zip(items, seen.argsort().argsort().astype(float).tolist()))
raw, shifted, ranked = (float(reciprocal_ranks(bought, scores)) for scores in (times, since, ranks))
print(f"times {raw:.3f}   times less the first {shifted:.3f}   ranks {ranked:.3f}")
assert shifted == ranked == 1.0, "the cure"
assert reciprocal_ranks({"user": "a_late"}, {"user": pair}) == 0.5, "a minute counts"
assert 0.6 < raw < 0.9, "times rank as they are"
PY
