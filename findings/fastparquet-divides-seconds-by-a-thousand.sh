#!/usr/bin/env bash
# fastparquet writes a click of November 2023, kept in whole seconds, as one of the first hour of 1970.
#
# Guess:  datetime64[s] is stored in milliseconds, times 1000, and comes back as it was.
# Found:  fastparquet 2026.9.0, pandas 2.3.3, pyarrow 26.0.1: the seconds are divided by 1000 and called milliseconds;
#         pyarrow and fastparquet read the same wrong time. ms, us and ns are right. times="int96", meant for Spark,
#         takes the numbers of every unit for nanoseconds: seconds, ms and us all land in January 1970.
#         timedelta64[s], a delay of an hour, is read back as less than a second. No message. (Their issue 960, closed,
#         turned the factor around for ns.)
#         Columns made of Unix seconds (astype("datetime64[s]")) are in that unit.
# Cure:   astype("datetime64[ns]") before writing, or pyarrow.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    fastparquet==2026.9.0 pandas==2.3.3 numpy==2.2.6 pyarrow==26.0.1
cd "$work"
"$work/v/bin/python" -W ignore - <<'PY'
import fastparquet
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

CLICK = np.array([1_700_000_000], "datetime64[s]")
DELAY = np.array([3600], "timedelta64[s]")


def read_back(unit, times):
    frame = pd.DataFrame({"click": CLICK.astype(f"datetime64[{unit}]"), "delay": DELAY.astype(f"timedelta64[{unit}]")})
    fastparquet.write("log.parquet", frame, times=times)
    alien, own = pq.read_table("log.parquet").to_pandas(), fastparquet.ParquetFile("log.parquet").to_pandas()
    return alien.click[0], own.click[0], own.delay[0]


found = {(unit, times): read_back(unit, times) for times in ("int64", "int96") for unit in ("s", "ms", "us", "ns")}
for key, values in found.items():
    print(*key, *values)
truth = pd.Timestamp(CLICK[0])
for unit in ("ms", "us", "ns"):
    assert found[unit, "int64"][:2] == (truth, truth), "other units"
assert found["ns", "int96"][0] == truth, "int96 of nanoseconds"
assert found["s", "int64"][0] == found["s", "int64"][1] == pd.Timestamp(1_700_000, unit="ms"), "seconds are kept now"
assert all(found[unit, "int96"][0] < pd.Timestamp("1970-02-01") for unit in ("s", "ms", "us")), "int96 is right now"
assert found["s", "int64"][2] < pd.Timedelta("1s"), "delays in seconds are kept now"
PY
