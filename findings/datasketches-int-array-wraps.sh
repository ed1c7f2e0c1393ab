#!/usr/bin/env bash
# DataSketches' integer quantile sketch refuses a large number and takes an array of them, cut to 32 bits.
#
# Guess:  update() refuses an array that holds what it refuses one by one, or keeps it.
# Found:  datasketches 5.2.0, NumPy 2.4.2, kll_ints_sketch, req_ints_sketch and quantiles_ints_sketch:
#           update(1700000000000) and update(.7)   TypeError
#           update(np.array([...]))                taken: times in milliseconds wrap (the median of a day's
#           clicks is negative), scores below 1 all become 0
#         The sketch counts the values as if nothing had happened, so the monitor shows quantiles of noise.
# Cure:   a doubles sketch (kll_doubles_sketch); float32, of kll_floats_sketch, keeps steps of 128 seconds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check datasketches==5.2.0 numpy==2.4.2
"$work/v/bin/python" -W error - <<'PY'
import datasketches
import numpy as np

MAKERS = {
    "kll_ints_sketch": lambda: datasketches.kll_ints_sketch(200),
    "req_ints_sketch": lambda: datasketches.req_ints_sketch(12),
    "quantiles_ints_sketch": lambda: datasketches.quantiles_ints_sketch(128),
}
clicks = 1_700_000_000_000 + 1000 * np.arange(86_400)
scores = np.linspace(0.01, 0.99, 1000)


def refuses(sketch, value):
    try:
        sketch.update(value)
    except TypeError:
        return True
    return False


def filled(sketch, values):
    sketch.update(values)
    return sketch.n, sketch.get_min_value(), sketch.get_quantile(0.5), sketch.get_max_value()


for name, make in MAKERS.items():
    assert refuses(make(), int(clicks[0])) and refuses(make(), 0.7), "one by one they are taken"
    times, rates = filled(make(), clicks), filled(make(), scores)
    print(name, "times", times, "scores", rates)
    assert times[0] == len(clicks) and rates == (len(scores), 0, 0, 0), "the array is refused or kept"
    assert times[1] == clicks.astype(np.int32).min() and times[2] < 0, "the times stay whole"
exact = filled(datasketches.kll_doubles_sketch(200), clicks.astype(float))
assert (exact[1], exact[3]) == (clicks[0], clicks[-1]), "the cure"
PY
