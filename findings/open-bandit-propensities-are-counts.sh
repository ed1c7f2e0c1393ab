#!/usr/bin/env bash
# Open Bandit's propensities of Thompson sampling are counts of 200,000 draws; a count of 0 is 1e-6.
#
# Guess:  the logged probability of an exposure is the policy's own, so any small value means what
#         it says, and 1 / (34 p), what the row weighs for a uniform policy of 34 items, has mean 1.
# Found:  obp 0.5.7's sample (10,000 exposures a campaign, log `bts`), pandas 2.2.3:
#           of 30,000 probabilities 29,995 are whole multiples of 1/200,000, the least 45e-6
#           4 are the uniform 1/items, and 1 is 1e-06, which no count gives
#           women: mean weight 3.13, one row holds 69 % of all weight; without it 0.96
#         The probabilities were simulated. What was shown and never drawn got a stand-in, a fifth of
#         one count, so nothing has measured its weight.
# Cure:   leave out rows below one count (5e-6), or clip weights, before valuing a policy.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check numpy==1.26.4 pandas==2.2.3
"$work/v/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary :all: \
    --ignore-requires-python -d "$work" obp==0.5.7
tar xzf "$work/obp-0.5.7.tar.gz" -C "$work"
"$work/v/bin/python" - "$work/obp-0.5.7/obp/dataset/obd/bts" <<'PY'
import sys

import numpy as np
import pandas as pd

counted, uniform, other = 0, 0, []
for campaign in ("men", "women", "all"):
    log = pd.read_csv(f"{sys.argv[1]}/{campaign}/{campaign}.csv", index_col=0)
    items = log["item_id"].max() + 1
    p = log["propensity_score"].to_numpy()
    whole = np.isclose(p * 200_000, np.round(p * 200_000), atol=1e-6) & (p > 2e-6)
    even = np.isclose(p, 1 / items, rtol=1e-9)
    counted += int(whole.sum())
    uniform += int((even & ~whole).sum())
    other += p[~whole & ~even].tolist()
    weight = 1 / items / p
    share = weight.max() / weight.sum()
    rest = weight[p > 2e-6].mean()
    print(f"{campaign}: least {p.min():.6g}, mean weight {weight.mean():.2f}, largest {share:.0%}, "
          f"mean weight of counted rows {rest:.2f}")
    if campaign == "women":
        assert weight.mean() > 3 and share > 0.6, "one row weighs more than all others"
print(f"counts of 200,000: {counted}, uniform: {uniform}, else: {other}")
assert other == [1e-6], "each probability is a count or the uniform one, but one"
assert counted == 29_995, "nearly all are counts"
PY
