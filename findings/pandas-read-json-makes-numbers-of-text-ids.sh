#!/usr/bin/env bash
# pandas.read_json turns ids that were written as text into other ids.
#
# Guess:  text in the JSON stays text; ids are put in quotes just because readers lose digits of large numbers.
# Found:  pandas 2.3.3: "1234567890123456789" and "1234567890123456790" are both the integer
#         1234567890123456768, though the bare numbers keep every digit; "00123" is 123. So two users become one, and
#         a frame that pandas itself wrote with to_json does not come back. read_csv keeps the digits of such text.
#         (That columns are converted is documented, as dtype; that it goes through float64 is not.)
# Cure:   read_json(dtype=False), or dtype={"user": str}.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check pandas==2.3.3 numpy==2.2.6
"$work/v/bin/python" -W error - <<'PY'
import io

import pandas as pd

IDS = ["1234567890123456789", "1234567890123456790"]
users = pd.DataFrame({"user": IDS, "clicks": [3, 5]})
text = users.to_json(orient="records")
print(text)


def read(written, **options):
    column = pd.read_json(io.StringIO(written), **options)["user"]
    return str(column.dtype), column.tolist()


quoted, bare = read(text), read(text.replace('"12', "12").replace('9",', "9,").replace('0",', "0,"))
print("quoted", quoted)
print("bare  ", bare)
print("zeros ", read('[{"user": "00123"}, {"user": "123"}]'))
joined = pd.read_json(io.StringIO(text)).groupby("user")["clicks"].sum()
print("clicks by user", joined.to_dict())
assert bare == ("int64", [int(i) for i in IDS])
assert quoted == ("int64", [1234567890123456768] * 2), "the ids stay apart"
assert joined.to_dict() == {1234567890123456768: 8}
assert read('[{"user": "00123"}, {"user": "123"}]') == ("int64", [123, 123])
assert pd.read_csv(io.StringIO(users.to_csv(index=False)))["user"].tolist() == [int(i) for i in IDS]
assert read(text, dtype=False)[1] == read(text, dtype={"user": str})[1] == IDS, "the cure"
PY
