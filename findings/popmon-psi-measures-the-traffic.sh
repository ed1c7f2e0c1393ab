#!/usr/bin/env bash
# popmon's PSI of two days of one distribution is 41,667 where one day has 2,000 rows and the reference 20,000.
#
# Guess:  the population stability index compares shares: two draws of one distribution are near 0 (.002 to .04
#         here), .25 is the usual alarm, and it hardly depends on how many rows there are.
# Found:  popmon 1.4.12, histogrammar 1.1.2, pandas 2.3.3; scores of Beta(2, 20), a reference of 20,000 rows:
#           2,000 rows alike 41,667    1,000 alike 57,305    20,000 alike 46    20,000 shifted by .003  88
#         Bins are compared as counts, the sum of (p - q) log(p / q) of rows: the difference of the sizes times the log
#         of their ratio. A day as long as the reference reads best, drifted or not, and the day of a sale worst.
#         The Jensen-Shannon divergence beside it, at most .69 by its definition, is 4,278. No message.
# Cure:   shares of the two histograms, by hand; chi2 and ks of the same table divide by the sizes.
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

DAY, BINS = 86_400 * 10**9, np.linspace(0, 1, 41)
draw = np.random.default_rng(0)


def log(*days):
    """Scores of consecutive days: (first day, rows, shift) each."""
    return pd.concat(
        pd.DataFrame({"date": pd.Timestamp("2026-01-01") + pd.Timedelta(days=day),
                      "score": draw.beta(2, 20, n) + shift})
        for day, n, shift in days
    )


reference = log(*((day, 2_000, 0) for day in range(10)))
later = {"2,000 alike": (10, 2_000, 0), "1,000 alike": (11, 1_000, 0), "20,000 alike": (12, 20_000, 0),
         "20,000 shifted": (13, 20_000, 0.003)}
fresh = log(*later.values())
histograms = reference.pm_make_histograms(
    features=["date:score"], time_axis="date",
    bin_specs={"date": {"bin_width": DAY, "bin_offset": 0}, "score": {"num": 40, "low": 0, "high": 1}})
settings = popmon.Settings(reference_type="external", time_axis="date")
table = popmon.df_stability_metrics(fresh, settings=settings, reference=histograms)["comparisons"]["score"]


def by_shares(scores):
    shares = [(np.histogram(x, BINS)[0] + 0.5) / (len(x) + 20) for x in (reference.score, scores)]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


found, usual = dict(zip(later, table["ref_psi"])), {}
for (name, psi), (_, scores), bound in zip(found.items(), fresh.groupby("date").score, table["ref_jsd"]):
    usual[name] = by_shares(scores)
    print(f"{name:15} PSI {psi:8.0f} JSD {bound:6.0f}; of shares {usual[name]:.3f}")
assert max(usual.values()) < 0.1, "nothing is near an alarm"
assert found["2,000 alike"] > 10_000 and found["1,000 alike"] > 50_000, "PSI is of shares now"
assert found["20,000 shifted"] < 0.01 * found["2,000 alike"], "the drifted day reads worse now"
assert (table["ref_jsd"] > np.log(2)).all(), "JSD is of shares now"
PY
