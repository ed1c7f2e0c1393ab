#!/usr/bin/env bash
# lifelines' SplineFitter on rare conversions returns a survival curve that rises, and says nothing.
#
# Guess:  a fitted survival function never rises and ends near Kaplan-Meier's; a fit that fails warns, as the other
#         models of the library do (ConvergenceError, StatisticalWarning).
# Found:  lifelines 0.30.3, SciPy 1.15.3; 2,000 clicks watched for 100 days, 1.2 % convert by a constant rate, knots at
#         1, 10, 50 days or at the 5th, 50th and 95th percentile of the delays, warnings made errors: of 8 fits 2
#         warn and 3 end without a message at a curve that rises, such as 1 -> .76 -> .81 -> 1.00 where it is
#         1 -> .9885, with a log likelihood 1,600 to 2,500 below Weibull's, which is near .9885 every time.
#         A share that has not converted and grows with time is a negative density for every delay in between.
# Cure:   WeibullFitter or PiecewiseExponentialFitter; compare with KaplanMeierFitter before use.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check \
    lifelines==0.30.3 scipy==1.15.3 numpy==2.2.6 pandas==2.3.3
OPENBLAS_NUM_THREADS=1 "$work/v/bin/python" -W error - <<'PY'
import numpy as np
from lifelines import KaplanMeierFitter, SplineFitter, WeibullFitter
from lifelines.exceptions import ConvergenceError

DAYS = [1, 10, 50, 100]


def curve(model, watched, converted):
    model.fit(watched, converted)
    return np.asarray(model.predict(DAYS), dtype=float)


fits, said, rising = 0, 0, []
for seed in range(4):
    delay = np.random.default_rng(seed).exponential(1e4, 2_000)
    watched, converted = np.minimum(delay, 100.0), delay <= 100
    seen = curve(KaplanMeierFitter(), watched, converted)[-1]
    weibull = WeibullFitter()
    assert abs(curve(weibull, watched, converted)[-1] - seen) < 1e-3 and (np.diff(weibull.predict(DAYS)) < 0).all()
    for knots in (DAYS[:3], np.percentile(delay[converted], [5, 50, 95]).tolist()):
        fits += 1
        spline = SplineFitter(knots)
        try:
            fitted = curve(spline, watched, converted)
        except (ConvergenceError, Warning):
            said += 1
            continue
        if (np.diff(fitted) > 1e-3).any():
            rising.append(seed)
            print(f"seed {seed}: spline {fitted.round(4).tolist()}, Kaplan-Meier at 100 days {seen:.4f},", end=" ")
            print(f"log likelihood {spline.log_likelihood_:.0f}, Weibull's {weibull.log_likelihood_:.0f}")
print(f"{len(rising)} of {fits} fits rise without a message, {said} warned")
assert rising, "no survival curve rises"
PY
