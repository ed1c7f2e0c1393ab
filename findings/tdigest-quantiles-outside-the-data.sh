#!/usr/bin/env bash
# tdigest gives a column of zeros and ones a 10th percentile of -0.5.
#
# Guess:  an approximate quantile lies between the least and the greatest value seen, and close to a value that most
#         rows have: the 90th percentile of 99 zeros and a one is 0.
# Found:  tdigest 0.5.2.2: .81, and 0 and 1 in the ratio 7:3 have a 10th percentile of -.5 and a 60th of .5; cdf(0) is
#         .35 where .7 of the values are 0. A line is drawn between the values' centroids however many rows stand on
#         each of them. Revenue per click, delays counted in days, prices of few kinds: counts below zero and
#         thresholds that no row has. datasketches 5.2.0's t-digest of the same values stays at 0. (Issue 60, open.)
# Cure:   datasketches, or a little noise on repeated values.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check tdigest==0.5.2.2 datasketches==5.2.0 numpy==2.4.2
"$work/v/bin/python" -W error - <<'PY'
import datasketches
import numpy as np
from tdigest import TDigest


def compared(name, values, percents):
    digest, other = TDigest(), datasketches.tdigest_double(100)
    digest.batch_update(values)
    for value in values:
        other.update(value)
    given = [round(float(digest.percentile(p)), 2) for p in percents]
    print(name, percents, "tdigest", given, "datasketches", [round(other.get_quantile(p / 100), 2) for p in percents])
    print("    NumPy", np.percentile(values, percents, method="inverted_cdf").tolist(), "cdf(0)", digest.cdf(0))
    return given, digest.cdf(0), [other.get_quantile(p / 100) for p in percents]


rare, below, _ = compared("99 zeros, 1 one", [0.0] * 99 + [1.0], [50, 90])
assert rare == [0.01, 0.81] and round(below, 3) == 0.495, "the 90th percentile is 0"
values = [0.0] * 7_000 + [1.0] * 3_000
mixed, below, other = compared("7:3", values, [10, 25, 60, 90])
assert mixed[0] == -0.5 and mixed[2] == 0.5 and round(below, 2) == 0.35, "the quantiles stay inside the data"
assert other == [0.0, 0.0, 0.0, 1.0], "the cure"
PY
