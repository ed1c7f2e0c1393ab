"""What an audit's epochs say in plain words: labels that collapse, run away or mislead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

#: Labels fell to this share of what they once were: a collapse.
COLLAPSED = 0.1
#: The mean CVR of unclicked rows grew by this factor since the first epoch: running away.
RUNAWAY = 3.0


def warnings_of(epochs: Sequence[Mapping[str, float]]) -> list[str]:
    """Says in plain words where the labels of a run collapse, run away or mislead.

    Args:
        epochs: as `read_epochs` gives them.
    """
    found: list[str] = []
    if not epochs:
        return found
    last, first = epochs[-1], epochs[0]
    most = max(row["share"] for row in epochs)
    if most == 0:
        found.append(
            "no unclicked row was relabelled in any epoch, so the model trained as AllNegative "
            "does; see what the transport can do at this kappa, rule and number of positives"
        )
    elif last["share"] <= COLLAPSED * most:
        found.append(
            f"the labels collapse: {last['share']:.3%} of the unclicked rows in the last epoch "
            f"after {most:.3%}"
        )
    if first["share"] > 0 and last["share"] >= RUNAWAY * first["share"]:
        found.append(
            f"the labels run away: {first['share']:.3%} of the unclicked rows in the first epoch, "
            f"{last['share']:.3%} in the last"
        )
    before, after = first["mean_cvr_unclicked"], last["mean_cvr_unclicked"]
    if before > 0 and after >= RUNAWAY * before:
        found.append(
            f"the mean CVR of unclicked rows runs away, from {before:.4f} to {after:.4f}: the "
            "model may be believing its own labels"
        )
    if last["lift_high"] < 1:
        found.append(
            f"the labels are worse than chance: a lift of {last['lift']:.2f}, at most "
            f"{last['lift_high']:.2f}"
        )
    if last.get("churn", math.nan) > 0.9:
        found.append(
            f"{last['churn']:.0%} of the labels changed in the last epoch: the matching has not "
            "settled"
        )
    return found
