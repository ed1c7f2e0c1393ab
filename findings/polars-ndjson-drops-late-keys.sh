#!/usr/bin/env bash
# Polars' read_ndjson has no column for a key that first stands on line 101.
#
# Guess:  a key that some lines lack is a column with nulls, or the unknown key is an error, as read_json makes
#         it ("extra field in struct data") for the same records in a list.
# Found:  polars 2.1.0: the columns are those of the first 100 lines; a `conversion_time` that 2 % of lines
#         have is there if one of the first 100 converted, and otherwise gone with all its values. scan_ndjson too.
#         A log that writes a key only when there is a value loses its label, by the luck of its first lines, and
#         a guard like `if "conversion_time" in frame.columns` then trains on negatives alone.
#         (Their issue 29330, open. DuckDB 2.0.1's read_json does the same after 20,480 lines.)
# Cure:   infer_schema_length=None, or a schema.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check polars==2.1.0
cd "$work"
"$work/v/bin/python" -W error - <<'PY'
import io
import json

import polars as pl


def log(first):
    rows = [{"user": i, "click_time": 1_700_000_000 + i} for i in range(5_000)]
    for row in rows[first::50]:
        row["conversion_time"] = row["click_time"] + 60
    return rows


def columns(rows, **options):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    with open("log.ndjson", "w") as file:
        file.write(lines)
    read = pl.read_ndjson(io.BytesIO(lines.encode()), **options)
    assert read.columns == pl.scan_ndjson("log.ndjson", **options).collect().columns
    return read.columns


early, late = columns(log(99)), columns(log(100))
print("first conversion on line 100:", early)
print("first conversion on line 101:", late)
try:
    pl.read_json(io.BytesIO(json.dumps(log(100)).encode()))
    raise AssertionError("read_json no longer refuses")
except pl.exceptions.ComputeError as error:
    print("read_json:", str(error)[:60])
assert early == ["user", "click_time", "conversion_time"]
assert late == ["user", "click_time"], "the late key is read"
assert columns(log(100), infer_schema_length=None) == early, "the cure"
PY
