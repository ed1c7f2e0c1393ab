#!/usr/bin/env bash
# Polars: hour * 60 + minute is wrong from 02:08 on, and may be negative.
#
# Guess:  the minute of the day of 23:30 is 1410, as in pandas and DuckDB.
# Found:  polars 2.1.0: dt.hour() and dt.minute() are Int8, a literal takes the column's type, and integer
#         arithmetic wraps: 23:30 -> -126, 13:00 -> 12, without a word. 1,312 of a day's 1,440 minutes are wrong.
#         weekday * 24 + hour wraps from Friday, 08:00 on, month * 100 + day from 28 January on.
#         Some wrong values look right (13:00 is now 00:12), so a time-of-day feature is quietly scrambled
#         beside a server that counts in Python. (That it is Int8 is documented; their issue 27162 asks for Int64.)
# Cure:   cast before counting: dt.hour().cast(pl.Int32) * 60 + dt.minute().
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check polars==2.1.0
"$work/v/bin/python" -W error - <<'PY'
import datetime as dt

import polars as pl

day = [dt.datetime(2024, 1, 6) + dt.timedelta(minutes=m) for m in range(24 * 60)]
time = pl.col("time").dt
read = pl.DataFrame({"time": day}).select(
    minute=time.hour() * 60 + time.minute(),
    week_hour=time.weekday() * 24 + time.hour(),
    month_day=time.month() * 100 + time.day(),
    cured=time.hour().cast(pl.Int32) * 60 + time.minute(),
)
minutes = read["minute"].to_list()
wrong = [m for m, counted in enumerate(minutes) if counted != m]
print(read.schema["minute"], {f"{day[m]:%H:%M}": minutes[m] for m in (127, 128, 780, 1410)})
print(f"{len(wrong)} of {len(day)} minutes wrong, the first at {day[wrong[0]]:%H:%M}")
print("Saturday, 23:59: hour of the week", read["week_hour"][-1], "instead of", 6 * 24 + 23)
assert read["cured"].to_list() == list(range(24 * 60)), "the cure"
assert (minutes[127], minutes[128], minutes[780], minutes[1410]) == (127, -128, 12, -126), "no longer wraps"
assert len(wrong) == 1312 and read["week_hour"][-1] == -89
PY
