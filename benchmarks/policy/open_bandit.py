"""Off-policy estimates on the Open Bandit Dataset's sample, beside its own pipeline's.

    pip download --no-deps --no-binary :all: --ignore-requires-python obp==0.5.7
    tar xzf obp-0.5.7.tar.gz
    python -m benchmarks.policy.open_bandit run --sample obp-0.5.7/obp/dataset/obd --work WORK
    RIVAL/bin/python benchmarks/policy/open_bandit_rival.py WORK
    python -m benchmarks.policy.open_bandit table --work WORK

The sample holds 10,000 exposures each of three campaigns, once shown at random and once by
Thompson sampling (`bts`), with the probability of every exposure. Two policies are valued on the
newer half of a log: `uniform`, which shows any item alike, from the log of `bts`; and `softmax`,
which prefers what was clicked, from the log at random. What `uniform` earns is known from the
other log. The model of doubly robust is an item's click rate in the older half, drawn towards the
mean by 100 exposures.

Source: Saito, Aihara, Matsutani and Narita, Open Bandit Dataset and Pipeline, NeurIPS 2021.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common.machine import machine_facts
from idefn_tf._files import write_json
from idefn_tf.evaluation import importance_weights, softmax_policy, value_policy
from serving.common.command_line import command_parser

RESULTS = Path(__file__).parents[1] / "results" / "policy"
CAMPAIGNS = ("men", "women", "all")
#: Exposures that the mean counts for in an item's rate; the temperature of `softmax`.
SMOOTHING, TEMPERATURE = 100.0, 0.002
_PACKAGES = ("numpy", "pandas")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """The newer half of a log, and a policy.

    Attributes:
        action: the item shown, [rows].
        reward: whether it was clicked.
        exposure: with which probability it was shown.
        position: its place on the page, of three.
        users: who saw it, told by their features.
        target: the policy, [items].
        rates: the model's reward of each item, [items].
    """

    action: NDArray[np.int64]
    reward: Floats
    exposure: Floats
    position: NDArray[np.int64]
    users: NDArray[np.object_]
    target: Floats
    rates: Floats


def read_log(folder: Path, campaign: str) -> pd.DataFrame:
    """A log of the sample, oldest first."""
    log = pd.read_csv(folder / campaign / f"{campaign}.csv", index_col=0)
    return log.sort_values("timestamp", kind="stable").reset_index(drop=True)


def case_of(log: pd.DataFrame, policy: str) -> Case:
    """The newer half of a log with a policy that knows the older half alone."""
    items = int(log["item_id"].max()) + 1
    older, newer = log.iloc[: len(log) // 2], log.iloc[len(log) // 2 :]
    shown = np.bincount(older["item_id"], minlength=items)
    clicked = np.bincount(older["item_id"], weights=older["click"], minlength=items)
    rates = (clicked + SMOOTHING * older["click"].mean()) / (shown + SMOOTHING)
    target = np.full(items, 1 / items)
    if policy == "softmax":
        target = softmax_policy(rates[None], TEMPERATURE)[0]
    features = newer.filter(regex="^user_feature")
    return Case(
        action=newer["item_id"].to_numpy(np.int64),
        reward=newer["click"].to_numpy(np.float64),
        exposure=newer["propensity_score"].to_numpy(np.float64),
        position=newer["position"].to_numpy(np.int64) - 1,
        users=features.agg("|".join, axis=1).to_numpy(object),
        target=target,
        rates=rates,
    )


def value(case: Case) -> dict[str, Any]:
    """This library's estimates."""
    weight = importance_weights(case.target[case.action], case.exposure)
    expected = np.full(case.action.size, float(case.target @ case.rates))
    found = value_policy(
        case.reward, weight, case.rates[case.action], expected, users=case.users, draws=1000
    )
    return found.as_dict()


def mean_of(clicks: pd.Series) -> list[float]:
    """What the log at random earned, with the ends of its interval of 95 %."""
    mean = float(clicks.mean())
    wide = 1.96 * float(np.sqrt(mean * (1 - mean) / len(clicks)))
    return [mean, mean - wide, mean + wide]


def run(sample: Path, work: Path) -> None:
    """Values both policies in all campaigns, and writes down what a rival needs."""
    work.mkdir(parents=True, exist_ok=True)
    found = {}
    for campaign in CAMPAIGNS:
        logs = {kind: read_log(sample / kind, campaign) for kind in ("random", "bts")}
        for policy, kind in (("uniform", "bts"), ("softmax", "random")):
            case = case_of(logs[kind], policy)
            truth = mean_of(logs["random"]["click"]) if policy == "uniform" else None
            name = f"{campaign}-{policy}"
            found[name] = {"ours": value(case), "truth": truth}
            np.savez(
                work / f"{name}.npz",
                action=case.action,
                reward=case.reward,
                exposure=case.exposure,
                position=case.position,
                target=case.target,
                rates=case.rates,
            )
    write_json(work / "ours.json", {"machine": machine_facts(_PACKAGES), "cases": found})


def table(work: Path, out: Path) -> None:
    """Joins both and writes the page."""
    ours = json.loads((work / "ours.json").read_text(encoding="utf-8"))
    theirs = json.loads((work / "rival.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    for name, case in ours["cases"].items():
        case["rival"] = theirs["cases"][name]
    whole = {**ours, "rival": theirs["version"]}
    write_json(out / "open_bandit.json", whole)
    (out / "open_bandit_table.md").write_text(_page(whole), encoding="utf-8")


def _page(whole: dict[str, Any]) -> str:
    lines = [
        "| campaign, policy | log's mean | IPS | SNIPS | doubly robust | truth | effective rows | "
        "greatest difference |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    kinds = ("ips", "snips", "doubly_robust")
    for name, case in whole["cases"].items():
        own, rival = case["ours"], case["rival"]
        cells = [name.replace("-", ", "), _percent(own["logged"])]
        cells += [f"{_percent(own[kind])} {_ends(*own['intervals'][kind])}" for kind in kinds]
        cells += [_truth(case["truth"]), f"{own['effective_rows']:,.0f}"]
        cells += [f"{max(abs(own[kind] - rival[kind]) for kind in kinds):.0e}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _truth(found: list[float] | None) -> str:
    return "" if found is None else f"{_percent(found[0])} {_ends(*found[1:])}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _ends(low: float, high: float) -> str:
    return f"({_percent(low)} to {_percent(high)})"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = command_parser("benchmarks.policy.open_bandit", __doc__)
    parser.add_argument("step", choices=("run", "table"))
    parser.add_argument("--sample", type=Path, help="the sample's folder, obd")
    parser.add_argument("--work", type=Path, required=True, help="for what is between the steps")
    parser.add_argument("--out", type=Path, default=RESULTS, help="for the page")
    args = parser.parse_args(argv)
    if args.step == "table":
        return table(args.work, args.out)
    if args.sample is None or not (args.sample / "bts").is_dir():
        parser.error(f"--sample: must be the sample's folder obd, received {args.sample}")
    return run(args.sample, args.work)


if __name__ == "__main__":
    main()
