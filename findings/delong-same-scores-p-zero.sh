#!/usr/bin/env bash
# MLstatkit's DeLong test of a model against itself answers p = 0.
#
# Guess:  equal scores have equal AUC, so p is 1 (or the test says that the variance is nil).
# Found:  MLstatkit 0.1.91: z = 0.0 and p = 0.0 in scores with ties, which falls back to its
#         bootstrap in silence ("messages": []): "significant at any level" for no difference.
# Cure:   look at the difference first; never read the p-value where the scores are equal.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    MLstatkit==0.1.91 numpy==2.2.6 scikit-learn==1.7.2 pandas==2.3.3 scipy==1.16.3
"$work/v/bin/python" - <<'PY'
import numpy as np
from MLstatkit import Delong_test

rng = np.random.default_rng(0)
label = (rng.random(2000) < 0.05).astype(int)
score = np.round(rng.random(2000) + 0.5 * label, 1)
z, p, *rest = Delong_test(label, score, score)
print("z", z, "p", p, rest[-1])
assert rest[-3] == rest[-2], "the two AUCs are one"
assert z == 0.0, "no difference"
assert p == 0.0, "p is no longer 0"
PY
