#!/usr/bin/env bash
# Vortex: a rounded difference of -0.0 is less than 0 in a file's filter, and == 0 does not find it.
#
# Guess:  -0.0 and 0.0 are one number in every comparison, so "gain < 0" gives the same rows from a file as in memory.
# Found:  vortex-data 0.93.0, NumPy 2.2.6, pyarrow 25.0.1, polars 2.1.0: the filter compares the bits' order (-0.0
#         before 0.0, NaN after all numbers). 10,000 differences of two rates rounded to two digits (NumPy rounds -.004
#         to -0.0): "gain < 0" has 50 % of the rows for 16 %, "gain == 0" 33 % for 68 %, and "gain > 0" keeps every
#         NaN. Polars over the file hands its filter down and gives these rows too; the same Polars expression
#         on the table that was written gives the others. No message.
#         Gains, refunds and residuals are rounded like this, and a change of format changes their share of losses.
# Cure:   add 0.0 before writing (-0.0 + 0.0 is 0.0), and write null for NaN.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    vortex-data==0.93.0 numpy==2.2.6 pyarrow==25.0.1 polars==2.1.0
cd "$work"
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import polars as pl
import pyarrow as pa
import vortex
from vortex.expr import column

draw = np.random.default_rng(0)
gain = np.round(draw.normal(0, 0.005, 10000), 2)
gain[::100] = np.nan


def shares(values):
    """Share of rows below, at and above zero: in memory, by the file's own filter, by Polars over the file."""
    table = pa.table({"gain": values})
    vortex.io.write(table, "gain.vortex")
    file, lazy, c = vortex.open("gain.vortex"), pl.from_arrow(table).lazy(), column("gain")
    own = [len(file.scan(expr=e).read_all()) for e in (c < 0.0, c == 0.0, c > 0.0)]
    tests = [pl.col("gain") < 0, pl.col("gain") == 0, (pl.col("gain") > 0) & pl.col("gain").is_not_nan()]
    memory = [lazy.filter(e).collect().height for e in tests]
    tests[2] = pl.col("gain") > 0
    over = [file.to_polars().filter(e).collect().height for e in tests]
    print("memory", memory, "file", own, "Polars over the file", over)
    return memory, own, over


memory, own, over = shares(gain)
assert own[0] > 2 * memory[0] and own[1] < 0.7 * memory[1], "-0.0 is 0 now"
assert own[2] == memory[2] + 100, "NaN is not kept now"
assert over == own, "Polars over the file"
memory, own, over = shares(gain + 0.0)
assert own[:2] == over[:2] == memory[:2], "without -0.0"
PY
