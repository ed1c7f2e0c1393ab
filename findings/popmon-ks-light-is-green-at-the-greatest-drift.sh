#!/usr/bin/env bash
# popmon's light for Kolmogorov-Smirnov is red at a shift of .015 and green at a shift of .05.
#
# Guess:  a greater distance has a smaller p-value and a greater z-score: the light goes from green to yellow to red,
#         and stays red.
# Found:  popmon 1.4.12, histogrammar 1.1.2, pandas 2.3.3; scores of Beta(2, 20), a reference of 20,000 rows:
#                   2,000 rows a day                    20,000 rows a day
#           shift   0       .01      .015     .05       0       .01     .015    .05
#           ks      .7      2.7      5.2      15.6      .6      7.4     11.5    37.6
#           p       .8      1e-6     1e-23    NaN       .8      NaN     NaN     NaN
#           light   green   yellow   red      green     green   green   green   green
#         p is worked out up to a statistic of 6.81, where it is 1e-40, and stays NaN above; so does the z-score that
#         the rule is about, and NaN is not above a bound. With many rows a day no drift is ever red. chi2 of the same
#         table is red each time. No message.
# Cure:   a rule for ks itself, or for chi2; take a missing value for an alarm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    popmon==1.4.12 histogrammar==1.1.2 pandas==2.3.3 numpy==2.2.6 scipy==1.15.3
"$work/v/bin/python" -W ignore - <<'PY'
import logging

import numpy as np
import pandas as pd
import popmon

logging.disable(logging.INFO)

DAY, SHIFTS = 86_400 * 10**9, [0, 0.01, 0.015, 0.05]
draw = np.random.default_rng(0)


def log(shifts, first, rows):
    """One day of scores for each shift."""
    return pd.concat(
        pd.DataFrame({"date": pd.Timestamp("2026-01-01") + pd.Timedelta(days=first + k),
                      "score": draw.beta(2, 20, rows) + shift})
        for k, shift in enumerate(shifts)
    )


reference = log([0] * 10, 0, 2_000)
histograms = reference.pm_make_histograms(
    features=["date:score"], time_axis="date",
    bin_specs={"date": {"bin_width": DAY, "bin_offset": 0}, "score": {"num": 40, "low": 0, "high": 1}})
seen = {}
for rows in (2_000, 20_000):
    settings = popmon.Settings(reference_type="external", time_axis="date")
    store = popmon.df_stability_metrics(log(SHIFTS, 10, rows), settings=settings, reference=histograms)
    table, lights = store["comparisons"]["score"], store["traffic_lights"]["score"]
    for k, shift in enumerate(SHIFTS):
        row, light = table.iloc[k], lights.iloc[k]
        print(f"{rows} rows, shift {shift}: ks {row['ref_ks']:.1f} p {row['ref_ks_pvalue']:.1e}",
              f"z {row['ref_ks_zscore']:.1f} light {light['ref_ks_zscore']}; chi2's {light['ref_chi2_zscore']}")
    assert lights["ref_chi2_zscore"].tolist() == [0, 2, 2, 2], "chi2 sees it"
    assert table["ref_ks"].is_monotonic_increasing, "the distance grows"
    seen[rows] = lights["ref_ks_zscore"].tolist(), table["ref_ks_pvalue"].isna().tolist()
GREEN, YELLOW, RED = 0, 1, 2
assert seen[2_000] == ([GREEN, YELLOW, RED, GREEN], [False, False, False, True]), "the greatest drift is red"
assert seen[20_000] == ([GREEN] * 4, [False, True, True, True]), "many rows are red"
PY
