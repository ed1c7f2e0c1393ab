#!/usr/bin/env bash
# Perpetual scores a category it has never seen as the next one in the alphabet.
#
# Guess:  a new shop is a missing value, or an error; at the least all new shops have one score.
# Found:  perpetual 2.3.0, pandas 2.3.3, polars 2.1.0; shops apple and peach convert at .9, cherry and plum at .1.
#         "banana" gets cherry's .11, "olive" peach's .89, "pie" plum's .11, from pandas and from Polars frames.
#         A name's place in the sorted list is looked up (searchsorted), and nobody compares.
#         So a new item inherits the rate of whatever name or id follows it. No message.
# Cure:   replace categories that training did not have by None before each predict.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    perpetual==2.3.0 pandas==2.3.3 numpy==2.2.6 scikit-learn==1.7.2 polars==2.1.0 pyarrow==26.0.1
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
import polars as pl
from perpetual import PerpetualBooster

RATE = {"apple": 0.9, "cherry": 0.1, "peach": 0.9, "plum": 0.1}
NEW = ["banana", "olive", "pie"]
draw = np.random.default_rng(0)
shop = draw.choice(list(RATE), 4_000)
bought = (draw.random(4_000) < [RATE[s] for s in shop]).astype(float)
other = draw.random(4_000)


def scores(frame, names):
    model = PerpetualBooster(objective="LogLoss", budget=0.5)
    model.fit(frame(shop, other), bought)
    score = model.predict_proba(frame(np.array(names), np.full(len(names), 0.5)))[:, 1]
    return dict(zip(names, np.asarray(score).round(2).tolist()))


names = [*RATE, *NEW]
by_pandas = scores(lambda s, z: pd.DataFrame({"shop": pd.Categorical(s), "z": z}), names)
by_polars = scores(lambda s, z: pl.DataFrame({"shop": pl.Series(s, dtype=pl.Categorical), "z": z}), names)
print("pandas", by_pandas)
print("polars", by_polars)
for found in (by_pandas, by_polars):
    assert all(abs(found[s] - RATE[s]) < 0.1 for s in RATE), "the shops of training"
for new, neighbour in (("banana", "cherry"), ("olive", "peach"), ("pie", "plum")):
    assert abs(by_pandas[new] - RATE[neighbour]) < 0.1, f"{new} is no longer {neighbour}"
    assert abs(by_polars[new] - RATE[neighbour]) < 0.1, f"{new} is no longer {neighbour} for Polars"
PY
