#!/usr/bin/env bash
# DuckDB reads a CSV's price 0.5 as 1 where the first 20,480 lines happened to hold whole numbers.
#
# Guess:  a type is guessed from a sample, and a value that does not fit it is an error, as text is: DuckDB
#         says "Could not convert string" for "abc" in the same place and names sample_size.
# Found:  duckdb 2.0.1: BIGINT, and 0.5, 0.02, 1.7 become 1, 0, 2; no error, no warning. read_json rounds too
#         (0, 0, 2), and of two Parquet files the first one's integer column rounds the second one's floats.
#         Prices, bids and scores of rare events (0.02 -> 0) lose their value when they come late in the log,
#         and whether they do depends on the order of its rows. (Their issue 25824, open.)
# Cure:   give the types, or sample_size=-1 for CSV and JSON.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1 numpy==2.4.2
cd "$work"
"$work/v/bin/python" -W error - <<'PY'
import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

FEES = [0.5, 0.02, 1.7]
ROUNDED = {"CSV": [1, 0, 2], "JSON": [0, 0, 2], "Parquet": [0, 0, 2]}
rows = [3] * 30_000 + FEES
with open("log.csv", "w") as file:
    file.write("fee\n" + "".join(f"{fee}\n" for fee in rows))
with open("text.csv", "w") as file:
    file.write("fee\n" + "".join(f"{fee}\n" for fee in rows[:-3]) + "abc\n")
with open("log.json", "w") as file:
    file.write("".join(json.dumps({"fee": fee}) + "\n" for fee in rows))
pq.write_table(pa.table({"fee": [3]}), "a.parquet")
pq.write_table(pa.table({"fee": FEES}), "b.parquet")


def last(relation):
    return str(relation.types[0]), [fee for (fee,) in relation.fetchall()[-3:]]


found = {
    "CSV": last(duckdb.read_csv("log.csv")),
    "JSON": last(duckdb.read_json("log.json")),
    "Parquet": last(duckdb.sql("select * from read_parquet(['a.parquet', 'b.parquet'])")),
    "CSV, whole file sampled": last(duckdb.read_csv("log.csv", sample_size=-1)),
}
try:
    duckdb.read_csv("text.csv").fetchall()
    raise AssertionError("text is no error")
except duckdb.ConversionException:
    print("text in the same place: ConversionException")
for name, what in found.items():
    print(name, *what)
for name, whole in ROUNDED.items():
    assert found[name] == ("BIGINT", whole), f"{name} no longer rounds so"
assert found["CSV, whole file sampled"] == ("DOUBLE", FEES), "the cure"
PY
