#!/usr/bin/env bash
# Vowpal Wabbit does not hash a feature made of digits: ids meet modulo the table's size.
#
# Guess:  "|u 5" and "|u 262149" are two hashed features; they meet by chance, once in 2**18.
# Found:  vowpalwabbit 9.11.9: 5, 05 and 5 + 2**18 are one weight, always. Ids that come in steps
#         of a power of two (sharded sequences do) all fall on each other; "u5" is hashed.
# Cure:   --hash all, or a letter before each id.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check vowpalwabbit==9.11.9
"$work/v/bin/python" - <<'PY'
from vowpalwabbit import Workspace


def scores(options, ids):
    model = Workspace(f"--quiet --loss_function logistic --link logistic -b 18 {options}")
    for _ in range(2000):
        model.learn(f"1 |u {ids[0]}")
        model.learn(f"-1 |u {ids[-1]}")
    found = [round(model.predict(f"|u {i}"), 3) for i in ids]
    model.finish()
    return found


ids = ["5", "05", str(5 + 2**18), "7"]
strings, everything = scores("", ids), scores("--hash all", ids)
print("default", dict(zip(ids, strings)), " --hash all", dict(zip(ids, everything)))
assert strings[0] == strings[1] == strings[2] > 0.99, "hashed now"
assert everything[0] > 0.99 and max(everything[1:3]) < 0.7, "--hash all tells them apart"
PY
