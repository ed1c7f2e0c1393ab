#!/usr/bin/env bash
# DuckDB's ASOF JOIN takes any row among those of the same second, and another one on the next run.
#
# Guess:  "the latest state at or before the click" takes the last of two updates in one second, as merge_asof of pandas
#         and join_asof of Polars do; at the least the same query over the same tables gives the same answer.
# Found:  duckdb 2.0.1, pandas 2.3.3, polars 2.1.0: of two updates in one second the first one is taken (of a small
#         table; the order of the rows decides), pandas and Polars take the last. 200,000 updates in whole seconds,
#         5,000 clicks: four in ten rows differ from pandas', and with several threads some differ from run to run.
#         A training table built twice has other features, and a state that was replaced in the same second.
#         (Their issue 25536, closed as expected behaviour.)
# Cure:   one row for each key and time before the join: arg_max(state, sequence) ... group by key, time.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    duckdb==2.0.1 pandas==2.3.3 numpy==2.2.6 polars==2.1.0 pyarrow==26.0.1
"$work/v/bin/python" -W ignore::UserWarning - <<'PY'
import duckdb
import numpy as np
import pandas as pd
import polars as pl

JOIN = "select state from clicks asof left join {0} s on clicks.item = s.item and clicks.time >= s.time order by click"
ONE = "(select item, time, arg_max(state, state) state from states group by item, time)"


def joined(clicks, states, of="states", threads=1):
    store = duckdb.connect()
    store.execute(f"set threads = {threads}")
    store.register("clicks", clicks)
    store.register("states", states)
    return store.execute(JOIN.format(of)).df()["state"].fillna(-1).to_numpy()


def by_pandas(clicks, states):
    sorted_by_time = (table.sort_values("time", kind="stable") for table in (clicks, states))
    return pd.merge_asof(*sorted_by_time, on="time", by="item").sort_values("click")["state"].fillna(-1).to_numpy()


def by_polars(clicks, states):
    left, right = (pl.from_pandas(table).sort("time", maintain_order=True) for table in (clicks, states))
    return left.join_asof(right, on="time", by="item").sort("click")["state"].fill_null(-1).to_numpy()


click = pd.DataFrame({"click": [0], "item": [1], "time": [10]})
twice = pd.DataFrame({"item": [1, 1], "time": [10, 10], "state": [1, 2]})
small = [int(join(click, twice)[0]) for join in (joined, by_pandas, by_polars)]
print("states 1, 2 in one second: DuckDB, pandas, Polars take", small)

draw = np.random.default_rng(0)
size = 200_000
states = pd.DataFrame({"item": draw.integers(0, 500, size), "time": draw.integers(0, 200, size), "state": range(size)})
clicks = pd.DataFrame({"item": draw.integers(0, 500, 5_000), "time": draw.integers(0, 250, 5_000)})
clicks["click"] = range(len(clicks))
last = by_pandas(clicks, states)
assert (last == by_polars(clicks, states)).all()
other = (joined(clicks, states) != last).mean()
runs = [joined(clicks, states, threads=4) for _ in range(3)]
moved = [round(float((run != runs[0]).mean()), 3) for run in runs[1:]]
print(f"rows that differ from pandas' {other:.2f}; from the first run with four threads {moved}")
assert (joined(clicks, states, ONE, threads=4) == last).all(), "the cure"
assert small == [1, 2, 2], "the last of a second is taken"
assert 0.2 < other < 0.7, "most rows are pandas'"
PY
