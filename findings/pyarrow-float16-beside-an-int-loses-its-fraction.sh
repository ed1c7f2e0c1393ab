#!/usr/bin/env bash
# pyarrow.array: a NumPy float16 beside a Python int becomes a whole number, without a word.
#
# Guess:  [1, np.float16(.5)] is a column of floats, as [1, np.float32(.5)] and [1, .5] are.
# Found:  pyarrow 25.0.1, NumPy 2.4.2: int64 [1, 0]. The order does not matter, and
#         pa.Table.from_pandas of an object column does the same. float32 and float64 scalars keep
#         their fraction. Half-precision scores beside a count or a missing-value mark arrive as 0.
# Cure:   make the column one type before it reaches Arrow, or give pa.array its type.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check pyarrow==25.0.1 numpy==2.4.2 pandas==3.0.1
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
import pyarrow as pa

half, single = np.float16(0.5), np.float32(0.5)
mixed = pa.array([1, half])
table = pa.Table.from_pandas(pd.DataFrame({"score": pd.Series([half, 1], dtype=object)}))
print(mixed.type, mixed.to_pylist(), table["score"].type, table["score"].to_pylist())
assert (str(mixed.type), mixed.to_pylist()) == ("int64", [1, 0]), "the fraction stays"
assert table["score"].to_pylist() == [0, 1], "the fraction stays in a DataFrame"
assert pa.array([1, single]).to_pylist() == [1.0, 0.5]
assert pa.array([1, half], pa.float32()).to_pylist() == [1.0, 0.5], "the cure"
PY
