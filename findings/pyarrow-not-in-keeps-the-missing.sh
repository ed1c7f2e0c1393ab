#!/usr/bin/env bash
# pyarrow's filters: ("campaign", "!=", "test") drops rows without a campaign, "not in" ["test"] keeps them.
#
# Guess:  both say the same, as in SQL, Polars and pandas: SQL and Polars drop the missing both ways, pandas keeps them.
# Found:  pyarrow 26.0.1, pandas 2.3.3, in read_table, read_parquet and a dataset's filter: 2 rows and 3 of four.
#         Nulls in the list change it again: "not in" ["test", None] drops them.
#         Whoever adds a second campaign to the filter, and so turns != into "not in", changes the denominator of
#         every rate by the rows without a campaign, which convert otherwise. (The documentation of
#         filters does not speak of nulls.)
# Cure:   write the missing out: filter=(field != "test") | field.is_null(), or & field.is_valid().
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    pyarrow==26.0.1 pandas==2.3.3 numpy==2.2.6 duckdb==2.0.1 polars==2.1.0
cd "$work"
"$work/v/bin/python" -W error - <<'PY'
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

pq.write_table(pa.table({"campaign": ["test", "a", None, "b"], "bought": [0, 0, 1, 0]}), "log.parquet")
differs, outside = [("campaign", "!=", "test")], [("campaign", "not in", ["test"])]
frame, scan, column = pd.read_parquet("log.parquet"), pl.scan_parquet("log.parquet"), pl.col("campaign")
found = {
    "pyarrow": [pq.read_table("log.parquet", filters=f)["campaign"].to_pylist() for f in (differs, outside)],
    "pandas.read_parquet": [pd.read_parquet("log.parquet", filters=f)["campaign"].tolist() for f in (differs, outside)],
    "pandas": [frame[keep]["campaign"].tolist() for keep in (frame.campaign != "test", ~frame.campaign.isin(["test"]))],
    "polars": [
        scan.filter(keep).collect()["campaign"].to_list() for keep in (column != "test", ~column.is_in(["test"]))
    ],
    "DuckDB": [
        [name for (name,) in duckdb.sql(f"select campaign from 'log.parquet' where campaign {test}").fetchall()]
        for test in ("!= 'test'", "not in ('test')")
    ],
}
for name, both in found.items():
    print(f"{name:20} !=", both[0], " not in", both[1])
for name in ("pandas", "polars", "DuckDB"):
    assert found[name][0] == found[name][1], f"{name} differs too"
for name in ("pyarrow", "pandas.read_parquet"):
    assert found[name] == [["a", "b"], ["a", None, "b"]], "the two filters agree"
field = pc.field("campaign")
cured = pq.read_table("log.parquet", filters=(field != "test") | field.is_null())
assert cured["campaign"].to_pylist() == ["a", None, "b"], "the cure"
PY
