#!/usr/bin/env bash
# bayesian-testing: the expected loss of two equal arms of revenue .3 a visit is 1e8 with one seed, 5e74 with another.
#
# Guess:  20,000 draws give the expected loss to a few per cent, and it is below the revenue itself.
# Found:  bayesian-testing 0.10.0, NumPy 2.2.6, DeltaLognormalDataTest (conversions times revenue), two equal arms,
#         eight seeds: 5 sales in 500 visits each 1.2e8 to 5e74; 8 sales .3 to 3e6; 12 sales .10 to .11, 40 .04. The
#         mean of a lognormal posterior is exp(mu + variance / 2), and the variance's posterior has a tail so heavy
#         that this mean does not exist for any number of sales; with few of them the greatest draw is the answer.
#         The chance of being best is .5 each time. A rule "stop when the expected loss is below" never stops, or by
#         the seed. No message (from 3 sales downwards NumPy warns of an overflow).
# Cure:   prob_being_best, or the median of the draws; wait for some dozens of sales in each arm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check bayesian-testing==0.10.0 numpy==2.2.6
"$work/v/bin/python" -W error::RuntimeWarning - <<'PY'
import numpy as np
from bayesian_testing.experiments import DeltaLognormalDataTest


def arm(sales):
    """Revenue of 100 visits for each sale; lognormal prices, evenly spread."""
    revenue = np.zeros(100 * sales)
    revenue[:sales] = np.exp(3 + 1.2 * np.linspace(-1.2, 1.2, sales))
    return revenue


def evaluated(sales, seed):
    test = DeltaLognormalDataTest()
    for name in ("old", "new"):
        test.add_variant_data(name, arm(sales))
    row = test.evaluate(seed=seed)[0]
    return float(row["expected_loss"]), float(row["prob_being_best"])


spread = {}
for sales in (5, 8, 12, 40):
    losses, chances = zip(*(evaluated(sales, seed) for seed in range(8)))
    spread[sales] = min(losses), max(losses)
    print(sales, "sales, revenue a visit", round(arm(sales).mean(), 2),
          "expected loss", *(f"{x:.2g}" for x in spread[sales]),
          "chance", round(min(chances), 2), round(max(chances), 2))
    assert 0.47 < min(chances) <= max(chances) < 0.53, "two equal arms"
assert spread[40][1] < 1.1 * spread[40][0] < 0.1, "many sales"
assert spread[5][0] > 1e6 and spread[5][1] > 1e6 * spread[5][0], "five sales have a loss now"
assert spread[8][1] > 100 * spread[8][0], "eight sales have a loss now"
PY
