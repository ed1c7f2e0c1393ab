#!/usr/bin/env bash
# frouros' PSI of two draws of one distribution of scores is beyond .25, the usual alarm, in three of four cases.
#
# Guess:  the population stability index of the same distribution is near 0 (about (bins - 1) * 2 / rows, .02 here),
#         and a tail that one of two samples did not reach adds a little.
# Found:  frouros 0.9.0, NumPy 2.1.3; conversion scores of Beta(2, 200), 1,000 rows twice, PSI with its ten bins:
#         median 1.4, up to 4.9, beyond .25 in 75 % of 40 pairs; of 5,000 rows in 35 %. A bin that is empty on one side
#         gets 2.2e-308, the smallest float, so each row beyond the other sample's tail adds 708 / rows. The bins are
#         equally wide, and scores of rare events leave the upper ones to single rows. No message.
# Cure:   bins by quantiles of the reference and half a row in each before the logarithm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check frouros==0.9.0 numpy==2.1.3 scipy==1.14.1
"$work/v/bin/python" -W error - <<'PY'
import numpy as np
from frouros.detectors.data_drift import PSI

BINS, PAIRS = 10, 40


def by_quantiles(reference, rows):
    edges = np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1])
    share = [(np.bincount(np.searchsorted(edges, x), minlength=BINS) + 0.5) / (len(x) + 0.5 * BINS)
             for x in (reference, rows)]
    return float(np.sum((share[1] - share[0]) * np.log(share[1] / share[0])))


for rows in (1_000, 5_000):
    theirs, ours = [], []
    for seed in range(PAIRS):
        draw = np.random.default_rng(seed)
        reference, later = draw.beta(2, 200, (2, rows))
        detector = PSI(num_bins=BINS)
        detector.fit(X=reference)
        theirs.append(float(detector.compare(X=later)[0].distance))
        ours.append(by_quantiles(reference, later))
    alarms = [sum(v > 0.25 for v in values) / PAIRS for values in (theirs, ours)]
    print(f"{rows} rows: median {np.median(theirs):.3f}, largest {max(theirs):.2f}, alarms {alarms[0]:.0%};", end=" ")
    print(f"by quantiles: median {np.median(ours):.3f}, alarms {alarms[1]:.0%}")
    assert alarms[0] > 0.2 and max(theirs) > 0.5, "two draws of one distribution are alike"
    assert alarms[1] == 0 and np.median(ours) < 0.05, "the cure"
PY
