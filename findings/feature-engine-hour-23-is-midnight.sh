#!/usr/bin/env bash
# feature_engine's CyclicalFeatures gives hour 23 the coordinates of hour 0.
#
# Guess:  24 hours lie evenly on a circle: 23 and 0 are neighbours, and two different hours differ.
# Found:  feature-engine 1.9.4, pandas 2.3.3: the period is the greatest value of the training rows, so hours 0 to 23
#         go around in 23 (weekdays 0 to 6 in 6, minutes in 59): the first and the last value are one point. A month
#         that ends on the 28th has another circle than one of 31. A log without the night gives noon the place of
#         another hour, and hour 23 at serving is beyond the circle. No message. (Issue 765; documented since.)
# Cure:   max_values={"hour": 24, "weekday": 7, "minute": 60}.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    feature-engine==1.9.4 pandas==2.3.3 numpy==2.2.6 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from feature_engine.creation import CyclicalFeatures

hours = pd.DataFrame({"hour": range(24), "weekday": [k % 7 for k in range(24)]})


def distance(made, name, first, second):
    """Distance of two rows on the circle of one feature."""
    part = made[[f"{name}_sin", f"{name}_cos"]].to_numpy()
    return round(float(np.linalg.norm(part[first] - part[second])), 3)


made = CyclicalFeatures().fit_transform(hours)
told = CyclicalFeatures(max_values={"hour": 24, "weekday": 7}).fit_transform(hours)
day = CyclicalFeatures().fit(hours[6:21]).transform(hours)
print("hour 23 to 0:", distance(made, "hour", 23, 0), "0 to 1:", distance(made, "hour", 0, 1))
print("Sunday to Monday:", distance(made, "weekday", 6, 0), "with max_values", distance(told, "weekday", 6, 0))
print("taught on hours 6 to 20, hour 20 to 0:", distance(day, "hour", 20, 0), "21 to 1:", distance(day, "hour", 21, 1))
assert distance(made, "hour", 23, 0) == 0 < distance(made, "hour", 0, 1), "hour 23 has a place of its own"
assert distance(made, "weekday", 6, 0) == 0 and distance(day, "hour", 21, 1) == 0, "so has Sunday"
assert distance(told, "hour", 23, 0) == distance(told, "hour", 0, 1) == 0.261, "the cure"
PY
