#!/usr/bin/env bash
# Perpetual's PolicyLearner weighs by propensities of .5 and .73, whatever the log says.
#
# Guess:  without `propensity` the learner estimates P(treated | x), as its documentation says: about .05 and .3 here.
# Found:  perpetual 2.3.0, NumPy 2.2.6: the propensity model's predict() is taken for log-odds, but it answers classes,
#         and the sigmoid of 0 and 1 is .5 and .73. 20,000 rows, a twentieth or three tenths of them treated: the
#         policy treats 2 % of the rows and is right in 52 % of them; with the true propensities it treats 42 % and
#         is right in 93 %. Rare treatment is what a log of ads has. No message.
#         (The docs of predict say "log-odds for classification" too.)
# Cure:   pass propensity=, for instance predict_proba of a booster of one's own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/v"
"$work/v/bin/pip" install -q --disable-pip-version-check perpetual==2.3.0 pandas==2.3.3 numpy==2.2.6 scikit-learn==1.7.2
"$work/v/bin/python" -W ignore - <<'PY'
import numpy as np
import perpetual.policy as policy
from perpetual import PerpetualBooster

ROWS = 20_000
draw = np.random.default_rng(0)
x = draw.random((ROWS, 2))
true = np.where(x[:, 0] < 0.5, 0.05, 0.3)
treated = (draw.random(ROWS) < true).astype(float)
effect = np.where(x[:, 1] < 0.5, 0.1, -0.1)
reward = 0.3 * x[:, 0] + effect * treated + draw.normal(0, 0.05, ROWS)
handed = []
objective = policy.PolicyObjective


def noted(**arguments):
    handed.append(np.asarray(arguments["propensity"]))
    return objective(**arguments)


policy.PolicyObjective = noted
alone = policy.PolicyLearner(budget=0.5).fit(x.copy(), treated, reward)
told = policy.PolicyLearner(budget=0.5).fit(x.copy(), treated, reward, propensity=true)
booster = PerpetualBooster(objective="LogLoss", budget=0.5)
booster.fit(x.copy(), treated)
estimate = np.asarray(booster.predict_proba(x.copy()))[:, 1]
print("propensities: used", np.unique(handed[0]).round(3), "estimated by predict_proba", estimate.mean().round(3))
print("predict() answers", np.unique(booster.predict(x.copy())))
right = {}
for name, learner in (("alone", alone), ("told", told)):
    choice = learner.predict(x.copy())
    right[name] = (choice == (effect > 0)).mean().round(3)
    print(name, "treats", choice.mean().round(3), "right", right[name])
assert set(np.unique(handed[0]).round(3)) <= {0.5, 0.731}, "propensities are estimated now"
assert abs(estimate.mean() - true.mean()) < 0.02, "the booster itself knows the propensity"
assert right["told"] > 0.85 > 0.6 > right["alone"], "the policies"
PY
