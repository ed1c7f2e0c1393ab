"""Metric direction: what a metric is worth, so that greater is better for every one of them."""

from __future__ import annotations

import math


def worth(metric: str, value: float) -> float:
    """Returns what a metric's value is worth in a selection; greater is better.

    Formula::

        worth = metric for AUC, KS and GAUC, -metric for LogLoss and ECE, -|ln(metric)| for PCOC

    so that a PCOC of 1 is the best one, and one of 2 as bad as one of 1/2.

    Args:
        metric: its name, such as "cvr_auc"; a space before it changes nothing.
        value: what was measured.

    Returns:
        The worth; NaN where the value is undefined (a PCOC of 0 or less included).
    """
    if metric.endswith(("logloss", "ece")):
        return -value
    if metric.endswith("pcoc"):
        return -abs(math.log(value)) if value > 0 else math.nan
    return value
