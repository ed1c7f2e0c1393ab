#!/usr/bin/env bash
# Polars cuts the fraction off a row's value where the first 100 rows held whole numbers, strict or not.
#
# Guess:  strict=True, the default, raises where a value does not match the inferred type, as it does for a
#         column ({"fee": [1, ..., 0.5]}) and for text among numbers.
# Found:  polars 2.1.0: rows (dicts, tuples, a database cursor, read_json) give Int64, and 0.99 becomes 0, without
#         a word; a True column makes False of 2. Text in the same place is a ComputeError.
#         Revenue of a log whose first hundred rows are free or whole sinks; the order of rows decides.
#         (Their issue 23152, open; the docs of `strict` promise an error for any value that does not match.)
# Cure:   infer_schema_length=None, or a schema.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check polars==2.1.0
"$work/v/bin/python" -W error - <<'PY'
import io
import json
import sqlite3

import polars as pl

fees = [0] * 100 + [0.99, 2.5]
rows = [{"fee": fee} for fee in fees]
store = sqlite3.connect(":memory:")
store.execute("create table log (fee)")
store.executemany("insert into log values (?)", [(fee,) for fee in fees])
frames = {
    "DataFrame of dicts": pl.DataFrame(rows, strict=True),
    "from_dicts": pl.from_dicts(rows),
    "tuples": pl.DataFrame([(fee,) for fee in fees], schema=["fee"], orient="row"),
    "read_database": pl.read_database("select fee from log", store),
    "read_json": pl.read_json(io.BytesIO(json.dumps(rows).encode())),
    "all rows looked at": pl.from_dicts(rows, infer_schema_length=None),
}
found = {name: (frame["fee"].dtype, frame["fee"].to_list()[-2:]) for name, frame in frames.items()}
for name, what in found.items():
    print(name, *what)
for refused in (lambda: pl.DataFrame({"fee": fees}), lambda: pl.from_dicts(rows + [{"fee": "free"}])):
    try:
        refused()
        raise AssertionError("accepted")
    except (TypeError, pl.exceptions.ComputeError) as error:
        print("refused:", type(error).__name__)
assert found.pop("all rows looked at") == (pl.Float64, [0.99, 2.5]), "the cure"
assert all(what == (pl.Int64, [0, 2]) for what in found.values()), "the fractions stay"
PY
