#!/usr/bin/env bash
# Vowpal Wabbit's logistic loss takes the label 0 without a word and learns probability 1/2 from it.
#
# Guess:  0 is the negative class of a 0/1 label, or an error.
# Found:  vowpalwabbit 9.11.9, --loss_function logistic --link logistic: a feature with 3,000 rows of
#         label 0 scores .500; with label -1 it scores .0014. Nothing is printed about it, and
#         the average loss falls all the same (.349 here).
# Cure:   write -1 for no click.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check vowpalwabbit==9.11.9
cat > "$work/try.py" <<'PY'
import sys

from vowpalwabbit import Workspace

model = Workspace("--loss_function logistic --link logistic")
for _ in range(3000):
    model.learn("1 |u a")
    model.learn(f"{sys.argv[1]} |u b")
print("SCORE", round(model.predict("|u b"), 4))
model.finish()
PY
zero=$("$work/v/bin/python" "$work/try.py" 0 2>&1)
minus=$("$work/v/bin/python" "$work/try.py" -1 2>&1)
echo "label 0: $(grep SCORE <<<"$zero")   label -1: $(grep SCORE <<<"$minus")"
grep -Eq 'SCORE 0\.(500|499)' <<<"$zero" || { echo "0 is a negative now"; exit 1; }
grep -Eq 'SCORE 0\.00' <<<"$minus" || { echo "-1 is no negative now"; exit 1; }
if grep -Eiq 'warn|label 0|expect' <<<"$zero"; then echo "it says so now"; exit 1; fi
