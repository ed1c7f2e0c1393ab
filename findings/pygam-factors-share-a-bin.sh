#!/usr/bin/env bash
# pyGAM: of the shops 1, 2, 3 and 1000 the first three have one effect, though each is a level of a factor.
#
# Guess:  f() is a factor term: each value has a coefficient of its own, whatever its number; a new value raises.
# Found:  pygam 0.12.0, NumPy 2.2.6, SciPy 1.15.3: as many bins as there are values, equally wide from the least to the
#         greatest, so values with gaps share them. Four shops with rates .1, .5, .9 and .3: scored .5, .5, .5 and .3,
#         with four coefficients in the model; numbered 0 to 3 they are .1, .5, .9 and .3. 200 ids drawn from
#         10,000: 74 scores. A shop that training did not have and whose number is between others has one of
#         their scores, and only those beyond the ends raise. No message.
# Cure:   number the values 0, 1, 2, ... before fit, and refuse new ones oneself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check pygam==0.12.0 numpy==2.2.6 scipy==1.15.3
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from pygam import LogisticGAM, f


def scored(names, rates, rows=400):
    """The rate that a model gives each name, after as many rows of each, of which the share `rates` bought."""
    bought = np.concatenate([np.arange(rows) < round(rate * rows) for rate in rates]).astype(int)
    model = LogisticGAM(f(0), lam=0.01).fit(np.repeat(names, rows)[:, None], bought)
    return model, model.predict_proba(np.array(names)[:, None])


rates = [0.1, 0.5, 0.9, 0.3]
gaps, apart = scored([1.0, 2.0, 3.0, 1000.0], rates)
_, even = scored([0.0, 1.0, 2.0, 3.0], rates)
print("with gaps", apart.round(2), "coefficients", gaps.terms[0].n_coefs, "numbered", even.round(2))
draw = np.random.default_rng(0)
many = np.sort(draw.choice(10000, 200, replace=False)).astype(float)
_, scores = scored(many, draw.uniform(0.05, 0.95, 200), 40)
print("of 200 ids", len(np.unique(scores.round(9))), "scores; a new shop 17", gaps.predict_proba([[17.0]]).round(2))
assert np.abs(even - rates).max() < 0.01 and gaps.terms[0].n_coefs == 4, "a factor without gaps"
assert np.ptp(apart[:3]) < 1e-9 and abs(apart[0] - 0.5) < 0.01, "each value has its own effect now"
assert len(np.unique(scores.round(9))) < 160, "each id has its own effect now"
PY
