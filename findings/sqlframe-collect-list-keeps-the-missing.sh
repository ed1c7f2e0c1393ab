#!/usr/bin/env bash
# SQLFrame: F.collect_list puts the missing into a history, the same function in its SQL leaves them out.
#
# Guess:  collect_list means what it means in Spark, where it leaves nulls out, by either way.
# Found:  sqlframe 4.10.0, sqlglot 30.29.0, duckdb 2.0.1: a user's items 7, null, 9 become [7, null, 9] with
#         F.collect_list and F.collect_set, [7, 9] with session.sql("select collect_list(item) ..."). size() of it is 3
#         for 2, so a length of history, a share by it and a minimum of events differ, and a null id goes to the
#         look-up, where Spark has none. A user whose every item is missing has a history of length 2, not an empty one.
#         No message. (sqlglot's issue 4031 had the same of array_agg; its SQL filters since then.)
# Cure:   filter(item is not null) before groupBy, with a left join for those who have none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check sqlframe==4.10.0 sqlglot==30.29.0 duckdb==2.0.1
"$work/v/bin/python" -W ignore - <<'PY'
from sqlframe.duckdb import DuckDBSession
from sqlframe.duckdb import functions as F

session = DuckDBSession()
clicks = session.createDataFrame(
    [("u", 7), ("u", None), ("u", 9), ("w", None), ("w", None)], "user string, item int"
)
clicks.createOrReplaceTempView("clicks")
kinds = {"collect_list": F.collect_list, "collect_set": F.collect_set}
found = {}
for name, kind in kinds.items():
    frame = clicks.groupBy("user").agg(kind("item").alias("items"), F.size(kind("item")).alias("size"))
    query = session.sql(f"select user, {name}(item) items, size({name}(item)) size from clicks group by user")
    for way, rows in (("functions", frame), ("sql", query)):
        found[name, way] = {row["user"]: (row["items"], row["size"]) for row in rows.collect()}
        print(name, way, found[name, way])
assert found["collect_list", "functions"]["u"] == ([7, None, 9], 3), "nulls are left out now"
assert found["collect_list", "functions"]["w"] == ([None, None], 2), "nulls are left out now"
assert None in found["collect_set", "functions"]["u"][0], "nulls are left out of the set now"
assert found["collect_list", "sql"]["u"] == ([7, 9], 2), "SQL"
PY
