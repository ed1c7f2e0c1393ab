"""The value of a policy as a table in the terminal, with what makes it doubtful."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.cli.console import Console

#: Rows of the table: what is estimated, in words.
ESTIMATES = (
    ("logged", "the log itself"),
    ("ips", "IPS"),
    ("snips", "SNIPS"),
    ("doubly_robust", "doubly robust"),
)
LEGEND = (
    "Per exposure that the policy shows, with 95 % of bootstrap draws of users. Read SNIPS; IPS "
    "and doubly robust stand beside it. They hold as far as the exposure probabilities do."
)


def show_policy(values: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Prints each part's estimates, and warns of what makes them doubtful.

    Args:
        values: by part, what `pipelines.experiment.asked_policy.AskedPolicy.values` returns.
        console: where to.
    """
    for part, found in values.items():
        rewards = [name for name in ("click", "conversion") if name in found]
        lines = []
        for key, words in ESTIMATES:
            if any(found[reward][key] is not None for reward in rewards):
                lines.append([words, *(_cell(found[reward], key) for reward in rewards)])
        facts = found[rewards[-1]]
        lines.append(["effective rows", f"{facts['effective_rows']:,.1f} of {facts['rows']:,}"])
        held = (f"{found[reward]['effective_rewards']:,.1f}" for reward in rewards)
        lines.append(["of these with a reward", *held])
        lines.append(["largest weight", f"{facts['largest_weight']:.2%} of all"])
        title = f"{part}: policy {found['policy']} by {found['score']}"
        wide = [[*line, *[""] * (1 + len(rewards) - len(line))] for line in lines]
        console.table(title, ("", *(f"{r}s" for r in rewards)), wide)
        for text in facts["warnings"]:
            console.warn(f"{part}: {text}")
    if values:
        console.note(LEGEND)


def _cell(value: Mapping[str, Any], key: str) -> str:
    point, bounds = value[key], value["intervals"].get(key)
    if point is None:
        return ""
    small = "" if bounds is None else f" ({bounds[0]:.4f} to {bounds[1]:.4f})"
    return f"{point:.4f}{small}"
