"""Curves of a stream: every hour's metrics, and what part of the way to the oracle was gone.

The relative improvement of a method, of any metric, is ::

    RI = (method - pretrained) / (oracle - pretrained)

0 for the model that never learns again, and 1 for the one that is told every label at once.

Source: Yang et al., AAAI 2021 (arXiv 2012.03245), "Evaluation metrics".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idefn_tf.metrics.exact_metrics import auc, log_loss, pcoc

Hour = dict[str, dict[str, Any]]
#: Metrics that an improvement is told of; PCOC has its best value in between.
IMPROVING = ("auc", "pr_auc", "log_loss")
#: The curves that an improvement is relative to.
PRETRAINED, ORACLE = "pretrained", "oracle"
#: Differences to the oracle below this say nothing.
_LEAST = 1e-12


def pr_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Average precision: the precision at every positive, averaged; ties share theirs.

    Returns:
        A number in (0, 1]; nan where there is no positive.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, weight = scores[order], weights[order].astype(np.float64)
    positive = np.cumsum(weight * labels[order])
    rows = np.cumsum(weight)
    if not len(ranked) or positive[-1] == 0:
        return float("nan")
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    positive, rows = positive[ends], rows[ends]
    gained = np.diff(positive, prepend=0.0)
    share = np.divide(positive, rows, out=np.zeros_like(positive), where=rows > 0)
    return float((gained * share).sum() / positive[-1])


def measure(scored: Mapping[str, np.ndarray]) -> Hour:
    """Computes the metrics of some rows of one learner.

    Args:
        scored: "click", "conversion" (the final label), "weight", "cvr" and "ctcvr" of the rows.

    Returns:
        For the spaces "clicked" (the rate after a click) and "all_funnel" (of a click and a
        conversion): rows, conversions, auc, pr_auc, log_loss and pcoc, None where not defined.
    """
    clicked = scored["click"] > 0
    some = {name: values[clicked] for name, values in scored.items()}
    return {"clicked": _measure(some, "cvr"), "all_funnel": _measure(scored, "ctcvr")}


def _measure(scored: Mapping[str, np.ndarray], score: str) -> dict[str, Any]:
    y, s, w = (scored[name].astype(np.float64) for name in ("conversion", score, "weight"))
    found: dict[str, Any] = {"rows": len(y), "conversions": int(y.sum())}
    for name, metric in (("auc", auc), ("pr_auc", pr_auc), ("log_loss", log_loss), ("pcoc", pcoc)):
        value = metric(y, s, w) if len(y) else math.nan
        found[name] = value if math.isfinite(value) else None
    return found


def mean(hours: Sequence[Hour]) -> Hour:
    """Averages metrics over hours, each weighted by its rows; hours without a value are left out.

    Args:
        hours: of one learner, as `measure` gives them.
    """
    return {
        space: {
            metric: _weighted([hour[space] for hour in hours], metric)
            for metric in (*IMPROVING, "pcoc")
        }
        for space in ("clicked", "all_funnel")
    }


def _weighted(hours: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    told = [(hour["rows"], hour[metric]) for hour in hours if hour[metric] is not None]
    total = sum(rows for rows, _ in told)
    return sum(rows * value for rows, value in told) / total if total else None


def improvement(method: Hour, pretrained: Hour, oracle: Hour) -> Hour:
    """Computes RI of every space and metric; None where the oracle is no better."""
    return {
        space: {
            metric: _improvement(
                method[space][metric],
                pretrained[space][metric],
                oracle[space][metric],
                -1.0 if metric == "log_loss" else 1.0,
            )
            for metric in IMPROVING
        }
        for space in ("clicked", "all_funnel")
    }


def _improvement(method: Any, pretrained: Any, oracle: Any, sign: float) -> float | None:
    if None in (method, pretrained, oracle) or sign * (oracle - pretrained) < _LEAST:
        return None  # beside an oracle that is worse a better method would have a negative RI
    return float((method - pretrained) / (oracle - pretrained)) + 0.0  # no minus before a zero


def summarize(hours: Sequence[Mapping[str, Mapping[str, np.ndarray]]]) -> dict[str, Any]:
    """Computes all curves of a stream.

    Args:
        hours: by hour and learner, what `measure` takes.

    Returns:
        "hours": by hour and learner its metrics; "mean": over hours; "pooled": over all rows; and
        where there are controls "ri" of both, by learner.
    """
    names = list(hours[0]) if hours else []
    curves = [{name: measure(hour[name]) for name in names} for hour in hours]
    totals = {
        "mean": {name: mean([hour[name] for hour in curves]) for name in names},
        "pooled": {name: measure(_joined([hour[name] for hour in hours])) for name in names},
    }
    found: dict[str, Any] = {"hours": curves, **totals}
    if {PRETRAINED, ORACLE} <= set(names):
        found["ri"] = {
            kind: {n: improvement(of[n], of[PRETRAINED], of[ORACLE]) for n in names}
            for kind, of in totals.items()
        }
    return found


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
