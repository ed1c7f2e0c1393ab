#!/usr/bin/env bash
# SQLFrame: Window.orderBy("time") puts rows without a time last, df.orderBy("time") and Spark put them first.
#
# Guess:  the purpose of the layer is PySpark's meaning on another engine, and one spelling of an order has one meaning:
#         the missing first, as in Spark's windows and sorts.
# Found:  sqlframe 4.10.0, sqlglot 30.29.0, duckdb 2.0.1: of a user's events (no time, mail), (3, search), (1, ad) the
#         first by row_number is "ad" with Window.orderBy("time") or F.col("time"), and "mail" with F.col("time").asc(),
#         with session.sql("... over (partition by user order by time)"), and at the head of df.orderBy("time").
#         Running sums, lag and "first touch" follow. A test in SQLFrame passes with another first event than the
#         same program has on Spark, and .asc(), which says nothing new, changes it. No message.
# Cure:   asc_nulls_first() or asc_nulls_last() in every window.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check sqlframe==4.10.0 sqlglot==30.29.0 duckdb==2.0.1
"$work/v/bin/python" -W ignore - <<'PY'
from sqlframe.duckdb import DuckDBSession, Window
from sqlframe.duckdb import functions as F

session = DuckDBSession()
events = session.createDataFrame(
    [("u", None, "mail"), ("u", 3, "search"), ("u", 1, "ad")], "user string, time int, channel string"
)
events.createOrReplaceTempView("events")


def first(frame):
    """The channel whose row_number is 1."""
    return [row["channel"] for row in frame.collect() if row["n"] == 1]


def windowed(order):
    return first(events.withColumn("n", F.row_number().over(Window.partitionBy("user").orderBy(order))))


ways = {
    "name": windowed("time"),
    "column": windowed(F.col("time")),
    "asc": windowed(F.col("time").asc()),
    "nulls first": windowed(F.col("time").asc_nulls_first()),
    "sql": first(session.sql("select channel, row_number() over (partition by user order by time) n from events")),
    "sorted": [events.orderBy("time").collect()[0]["channel"]],
}
print(ways)
assert ways["asc"] == ways["nulls first"] == ways["sql"] == ways["sorted"] == ["mail"], "Spark's order"
assert ways["name"] == ways["column"] == ["ad"], "a window's order is Spark's now"
PY
