"""The same estimates by Open Bandit Pipeline, in an environment of its own.

    python3.11 -m venv RIVAL && RIVAL/bin/pip install --no-deps obp==0.3.3
    RIVAL/bin/pip install numpy==1.26.4 scipy==1.13.1 scikit-learn==1.5.2 pandas==2.2.3 \
        tqdm pyyaml matplotlib==3.9.4 seaborn==0.13.2
    RIVAL/bin/python benchmarks/policy/open_bandit_rival.py WORK

obp 0.3.3 is the newest that Python 3.11 takes without PyTorch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def value(case: dict[str, np.ndarray]) -> dict[str, float]:
    """IPS, SNIPS and doubly robust of a case."""
    from obp import ope

    rows = case["action"].size
    log = {
        "reward": case["reward"],
        "action": case["action"],
        "position": case["position"],
        "pscore": case["exposure"],
        "action_dist": np.tile(case["target"][None, :, None], (rows, 1, 3)),
    }
    model = np.tile(case["rates"][None, :, None], (rows, 1, 3))
    return {
        "ips": ope.InverseProbabilityWeighting().estimate_policy_value(**log),
        "snips": ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**log),
        "doubly_robust": ope.DoublyRobust().estimate_policy_value(
            **log, estimated_rewards_by_reg_model=model
        ),
    }


def main() -> None:
    """Values every case of a folder."""
    import obp

    work = Path(sys.argv[1])
    cases = {path.stem: value(dict(np.load(path))) for path in sorted(work.glob("*.npz"))}
    said = {"version": f"obp {obp.__version__}, numpy {np.__version__}", "cases": cases}
    (work / "rival.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main()
