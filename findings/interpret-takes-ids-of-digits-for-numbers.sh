#!/usr/bin/env bash
# interpret's boosting machine reads text ids made of digits as numbers, and scores a new id by its neighbours.
#
# Guess:  a column of Python strings is categorical: each id has a score of its own, an unseen one gets none, which
#         is what happens to "u17".
# Found:  interpret-core 0.7.8, scikit-learn 1.7.2, pandas 2.3.3: a column whose texts all parse as floats is
#         "continuous", "000017" too. 2,000 ids with rates of their own, 20,000 rows: correlation of score and rate
#         .25 instead of .62, 134 scores for 2,000 ids, and the greatest id's score for every id beyond it.
#         One "unknown" among the texts would have made the column categorical, so a day of the log decides.
#         No message (feature_types_in_ shows it; issue 564 names the rule).
# Cure:   feature_types=["nominal", ...], pandas' category dtype, or a letter before each id.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    interpret-core==0.7.8 scikit-learn==1.7.2 pandas==2.3.3 numpy==1.26.4
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from interpret.glassbox import ExplainableBoostingClassifier

IDS, ROWS = 2_000, 20_000
draw = np.random.default_rng(0)
names, rate = draw.choice(900_000, IDS, replace=False), draw.random(IDS)
row = draw.integers(0, IDS, ROWS)
bought = (draw.random(ROWS) < rate[row]).astype(int)


def learned(write, new, **choice):
    """Type, correlation of score and rate, number of scores, scores of ids never seen."""
    users = pd.DataFrame({"user": [write(names[i]) for i in row]})
    model = ExplainableBoostingClassifier(interactions=0, outer_bags=1, n_jobs=1, random_state=0, **choice)
    model.fit(users, bought)
    score = model.predict_proba(users)[:, 1]
    unseen = model.predict_proba(pd.DataFrame({"user": [write(n) for n in new]}))[:, 1].round(3)
    return model.feature_types_in_[0], round(np.corrcoef(score, rate[row])[0, 1], 2), len(set(score)), unseen.tolist()


new = [999_999, 950_000, -1 + min(names)]
digits, padded, letter = [learned(w, new) for w in (str, lambda n: f"{n:06d}", lambda n: f"u{n}")]
told = learned(str, new, feature_types=["nominal"])
for name, line in (("digits", digits), ("padded", padded), ("letter", letter), ("told", told)):
    print(name, *line)
print("rate of all rows", bought.mean())
assert digits[0] == padded[0] == "continuous", "text is categorical"
assert letter[0] == told[0] == "nominal" and digits[1] < 0.4 < 0.5 < letter[1], "ids have scores of their own"
assert digits[3][0] == digits[3][1] != digits[3][2] and len(set(letter[3])) == 1, "new ids have one score"
PY
