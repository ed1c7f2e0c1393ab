#!/usr/bin/env bash
# dcurves: with models_to_prob and a time, the net benefit is that of taking the clicks least likely to convert.
#
# Guess:  a marker that is to be made a probability by Cox's model becomes the chance of a conversion by that day; the
#         decision curve of the marker is then nearly that of the true chance, which it is a function of.
# Found:  dcurves 1.1.7, lifelines 0.30.3, pandas 2.3.3; 5,000 clicks, conversions by day 7, one marker that orders them
#         as the true chance does: net benefit at the thresholds .1, .2, .3
#           the true chance   .225  .180  .142
#           everyone          .213  .115 -.011
#           the marker        .182  .063 -.086   (91 % of the clicks are above .3, where 29 % convert)
#         The column is filled with lifelines' survival function, the chance of no conversion, and called a risk: the
#         worst clicks are on top, and a good marker loses to taking everyone at each threshold.
#         Without a time (models_to_prob by a logistic regression) the risk is the right way round. No message.
# Cure:   1 - survival by hand, and hand that column in as a probability.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    dcurves==1.1.7 lifelines==0.30.3 pandas==2.3.3 numpy==2.2.6 scipy==1.15.3 statsmodels==0.14.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from dcurves import dca

CLICKS, DAY, THRESHOLDS = 5_000, 7, [0.1, 0.2, 0.3]
draw = np.random.default_rng(0)
marker = draw.normal(size=CLICKS)
rate = np.exp(1.2 * marker) / 30
delay, watched = draw.exponential(1 / rate), draw.uniform(10, 60, CLICKS)
log = pd.DataFrame({
    "marker": marker,
    "chance": 1 - np.exp(-DAY * rate),
    "days": np.minimum(delay, watched),
    "bought": delay <= watched,
})


def benefits(**options):
    table = dca(data=log, outcome="bought", thresholds=THRESHOLDS, time_to_outcome_col="days", time=DAY, **options)
    return table.pivot(index="model", columns="threshold", values="net_benefit"), table


table, rows = benefits(modelnames=["marker", "chance"], models_to_prob=["marker"])
above = rows.query("model == 'marker'").test_pos_rate.iloc[-1]
print(table.round(3), f"\nabove .3: {above:.0%}, converted by day {DAY}: {(delay <= DAY).mean():.0%}")
order = table.loc[["chance", "all"]].to_numpy()
assert (order[0] > order[1]).all(), "the true chance beats everyone"
assert (table.loc["marker"] < order[1] - 0.02).all() and above > 0.85, "the marker is a risk now"

log["turned"] = 1 - log["chance"]
mirror, _ = benefits(modelnames=["turned"])
gap = np.abs(mirror.loc["turned"] - table.loc["marker"]).max()
print("largest difference to 1 - the true chance:", round(gap, 3))
assert gap < 0.02, "the marker is not the chance of no conversion"
PY
