#!/usr/bin/env bash
# cluster-experiments finds an effect in 90 of 100 switchbacks with named cities, in 35 if cities have numbers.
#
# Guess:  a cluster is a pair of city and hour; what the cities are called changes no estimate.
# Found:  cluster-experiments 0.31.0, statsmodels 0.15.0, pandas 2.3.3; 24 cities, 24 hours, ten orders in each of 576
#         clusters, true effect .25, GeeExperimentAnalysis(cluster_cols=["city", "hour"]), 20 seeds:
#           city "city 1;"   effect .21 .31 .29   p .011 .000 .001   p below .05 in 90 %
#           city 1           effect .12 .23 .18   p .466 .107 .268   p below .05 in 35 %
#         The columns are pasted without a mark between them: city 1 at 12 and city 11 at 2 are both "112", 548 clusters
#         are left, and one of both treatments gets far more weight in the fit than the others. The splitter, which
#         draws the treatments, keeps the clusters apart. No message.
# Cure:   make one text column of the clusters, with a mark, and name that alone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    cluster-experiments==0.31.0 statsmodels==0.15.0 pandas==2.3.3 numpy==2.2.6 scipy==1.15.3
"$work/v/bin/python" -W ignore - <<'PY'
import itertools

import numpy as np
import pandas as pd
from cluster_experiments.experiment_analysis import GeeExperimentAnalysis

CITIES, HOURS, ORDERS, EFFECT, SEEDS = 24, 24, 10, 0.25, 20
clusters = pd.DataFrame(itertools.product(range(1, CITIES + 1), range(HOURS)), columns=["city", "hour"])


def log(seed):
    """Orders of a switchback: each cluster has a treatment and a level of its own."""
    draw = np.random.default_rng(seed)
    made = clusters.assign(treatment=draw.choice(["A", "B"], len(clusters)), level=draw.normal(size=len(clusters)))
    orders = made.loc[made.index.repeat(ORDERS)].reset_index(drop=True)
    noise = draw.normal(size=len(orders))
    return orders.assign(target=orders["level"] + noise + EFFECT * (orders["treatment"] == "B"))


def analysed(orders):
    analysis = GeeExperimentAnalysis(cluster_cols=["city", "hour"])
    return analysis.get_point_estimate(orders), analysis.get_pvalue(orders)


numbered, named = [], []
for seed in range(SEEDS):
    orders = log(seed)
    numbered.append(analysed(orders))
    named.append(analysed(orders.assign(city="city " + orders["city"].astype(str) + ";")))
numbered, named = np.array(numbered), np.array(named)
for seed in range(3):
    print(f"seed {seed}: numbers {numbered[seed][0]:.3f} p {numbered[seed][1]:.3f};",
          f"names {named[seed][0]:.3f} p {named[seed][1]:.3f}")
error = [np.sqrt(np.mean((found[:, 0] - EFFECT) ** 2)) for found in (numbered, named)]
pasted = (clusters["city"].astype(str) + clusters["hour"].astype(str)).nunique()
power = [np.mean(found[:, 1] < 0.05) for found in (numbered, named)]
print(f"{len(clusters)} clusters, {pasted} pasted; error {error[0]:.3f} and {error[1]:.3f};",
      f"p below .05 in {power[0]:.0%} and {power[1]:.0%}")
assert pasted < len(clusters) and np.abs(numbered - named)[:, 0].max() > 0.1, "the names do not matter now"
assert error[0] > 1.1 * error[1] and power[0] < power[1] - 0.2, "numbers are as good as names"
PY
