#!/usr/bin/env bash
# confseq: the confidence sequence of a rate of .0005 is [0, .002] after 20,000 rows and [0, 1] after 40,000.
#
# Guess:  a confidence sequence narrows with the rows; after 40,000 of them they leave no more than 20,000 did.
# Found:  confseq 0.0.11, NumPy 1.26.4, betting_cs as it is, one conversion in each 2,000 rows:
#           5,000 rows  0 to .003    20,000  0 to .002    25,727  0 to 1, and so in 93 of 100 rows after it
#         The rates tried are 0, .001, .002 and so on. When the rows have ruled out all of them, none is left, and the
#         empty set is answered as "anything". Rare rates lie between two of these steps. No message.
# Cure:   breaks=100_000 (the time grows with it), until the step is below a tenth of the rate.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    numpy==1.26.4 scipy==1.13.1 pandas==2.2.3 matplotlib==3.9.4 multiprocess==0.70.17
# The Python part of the source package is enough; its C++ part is not used here.
"$work/v/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary confseq -d "$work" confseq==0.0.11
tar -xzf "$work/confseq-0.0.11.tar.gz" -C "$work"
PYTHONPATH=$work/confseq-0.0.11/src "$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
from confseq.betting import betting_cs

ROWS, EVERY = 40_000, 2_000
bought = (np.arange(1, ROWS + 1) % EVERY == 0).astype(float)
lower, upper = betting_cs(bought)
ends = {}
for rows in (5_000, 10_000, 20_000, 30_000, 40_000):
    ends[rows] = float(lower[rows - 1]), float(upper[rows - 1])
    print(f"{rows} rows, {bought[:rows].sum():.0f} conversions: {ends[rows][0]:.4f} to {ends[rows][1]:.4f}")
all_of_it = (lower == 0) & (upper == 1)
first = int(np.argmax(all_of_it[5_000:])) + 5_001
print(f"everything at row {first} for the first time, and at {all_of_it[first:].mean():.0%} of the rows after it")
assert ends[20_000][1] < 0.005, "20,000 rows narrow it"
assert ends[40_000] == (0.0, 1.0) and all_of_it[first:].mean() > 0.5, "more rows narrow it"
PY
