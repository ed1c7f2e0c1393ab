#!/usr/bin/env bash
# lifelines' datetimes_to_durations cuts a delay of 23 hours to 0.0 days.
#
# Guess:  freq="D" is the unit: 23 hours are .96 days, and the answer is an array of floats.
# Found:  lifelines 0.30.3, pandas 2.3.3: whole units, cut, and then made floats. 10,000 clicks that convert with a
#         mean delay of one day: 63 % have the duration 0.0, the mean is .58 for .99, and Kaplan-Meier has .37 left
#         after half a day, where .60 is right. freq="h" is cut to the hour as well, so it is half an hour short.
#         Most conversions follow within a day, and these delays are what is lost. No message.
# Cure:   (end - start).dt.total_seconds() / 86400, or freq="s" divided by hand.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check lifelines==0.30.3 pandas==2.3.3 scipy==1.14.1 numpy==2.1.3
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from lifelines.utils import datetimes_to_durations

draw = np.random.default_rng(0)
seconds = draw.exponential(86_400, 10_000).round()
click = pd.Series(pd.Timestamp("2026-11-01 00:00:00") + pd.to_timedelta(draw.integers(0, 86_400, 10_000), unit="s"))
bought = click + pd.to_timedelta(seconds, unit="s")
days, seen = datetimes_to_durations(click, bought)
hours, _ = datetimes_to_durations(click, bought, freq="h")
exact = seconds / 86_400
left = {name: KaplanMeierFitter().fit(d, seen) for name, d in (("cut", days), ("exact", exact))}
print("type", days.dtype, "zeros", (days == 0).mean(), "mean", days.mean(), "for", exact.mean().round(3))
print("hours: mean", hours.mean() / 24, "zeros", (hours == 0).mean())
survival = {name: round(float(fit.survival_function_at_times(0.5).iloc[0]), 2) for name, fit in left.items()}
print("share not converted after half a day", survival)
assert seen.all() and days.dtype == float
assert 0.62 < (days == 0).mean() < 0.65 and 0.55 < days.mean() < 0.62, "fractions of a day are kept"
assert 0.03 < (hours == 0).mean() < 0.06, "fractions of an hour are kept"
assert survival["cut"] < 0.4 < 0.58 < survival["exact"], "half a day is known"
PY
