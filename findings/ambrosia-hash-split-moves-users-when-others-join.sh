#!/usr/bin/env bash
# ambrosia's salted hash split moves 8 % of the control into the test group when the table grows by 10 %.
#
# Guess:  a hash of id and salt decides the arm: a user keeps it however often the split is run, as long as the salt is
#         the same; users who join are added to the arms or to the rest.
# Found:  ambrosia 0.5.3.post1, pandas 2.3.3; groups of 1,000 of 10,000 users, salt "march", and the same call when more
#         users are in the table; of the 1,000 users of A there are now in B
#           1 % more users 14      10 % more 83      twice as many 468
#         and of B 169 are in no group after 10 % more. The hashes are sorted, the first 1,000 are A and the next 1,000
#         B: whoever joins before them pushes the last of A into B. A test that is split anew each day shows both
#         versions to them. On the same table the split is the same each time. No message.
# Cure:   split once and keep the table; or the arm by the hash's remainder, by hand.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
# Without its dependencies: catboost and nmslib are large, and the splitter does not load them.
"$work/v/bin/pip" install -q --disable-pip-version-check --no-deps ambrosia==0.5.3.post1
"$work/v/bin/pip" install -q --disable-pip-version-check pyyaml==6.0.3 joblib==1.5.3 tqdm==4.67.1 \
    pandas==2.3.3 numpy==2.2.6 scipy==1.15.3 scikit-learn==1.7.2 statsmodels==0.14.6
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import pandas as pd
from ambrosia.splitter import Splitter

USERS, GROUP = 10_000, 1_000


def split(users):
    table = pd.DataFrame({"user": np.arange(users)})
    groups = Splitter(id_column="user").run(method="hash", dataframe=table, groups_size=GROUP, salt="march")
    return groups.set_index("user")["group"]


before = split(USERS)
assert before.equals(split(USERS)), "the same table"
moved = {}
for users in (10_100, 11_000, 20_000):
    after = split(users).reindex(before.index, fill_value="none")
    table = pd.crosstab(before, after)
    moved[users] = int(table.loc["A"].get("B", 0))
    print(f"{users} users:", {arm: table.loc[arm].to_dict() for arm in "AB"})
assert 5 < moved[10_100] < 30 and 50 < moved[11_000] < 130 and moved[20_000] > 350, "users keep their arm now"
PY
