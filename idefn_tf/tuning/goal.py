"""Goal: what a search wants, as one number from a validation epoch's metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from idefn_tf._registry import register
from idefn_tf.evaluation.spaces import require_selection_space
from idefn_tf.evaluation.worth import worth

#: The metrics that validation reports for each space that selection may see.
METRICS: dict[str, tuple[str, ...]] = {
    "all_funnel": (
        "cvr_auc",
        "cvr_ks",
        "cvr_logloss",
        "cvr_pcoc",
        "ctr_auc",
        "ctr_logloss",
        "ctcvr_auc",
        "ctcvr_logloss",
    ),
    "clicked": ("cvr_auc", "cvr_ks", "cvr_logloss", "cvr_pcoc"),
}


@register("class")
class Goal(BaseModel):
    """A weighted sum of validation metrics; greater is better.

    Formula::

        goal = sum_i weight_i * worth(metric_i)
        worth = metric for AUC and KS, -metric for LogLoss, -|ln(metric)| for PCOC

    (`idefn_tf.evaluation.worth`), so that a PCOC of 1 costs nothing, and one of 2 as much as one of
    1/2. Only `all_funnel` and `clicked` can be named: a choice made on the other spaces would use
    columns that no deployed model has.

    Accepts a name ("all_funnel/cvr_auc") or weights by name ({"all_funnel/cvr_auc": 1,
    "clicked/cvr_pcoc": 0.05}).

    Attributes:
        terms: weight above zero by metric.

    Raises:
        ValueError: naming the term that is unknown, for reports only, or has no weight above zero.

    Example:
        >>> from idefn_tf.tuning import Goal
        >>> goal = Goal.model_validate({"all_funnel/cvr_auc": 1.0, "clicked/cvr_pcoc": 0.05})
        >>> goal.terms["clicked/cvr_pcoc"]
        0.05
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: dict[str, float] = {"all_funnel/cvr_auc": 1.0}

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"terms": {value: 1.0}}
        if isinstance(value, Mapping) and value and "terms" not in value:
            return {"terms": dict(value)}
        return value

    @model_validator(mode="after")
    def _check(self) -> Goal:
        if not self.terms:
            raise ValueError("must name at least one metric, such as all_funnel/cvr_auc")
        for name, weight in self.terms.items():
            space, slash, metric = name.partition("/")
            if not slash:
                raise ValueError(f"{name!r} must look like all_funnel/cvr_auc")
            require_selection_space(space)
            if metric not in METRICS[space]:
                raise ValueError(
                    f"{name!r} is not reported on validation; {space} has {list(METRICS[space])}"
                )
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"the weight of {name!r} must be above 0, received {weight}")
        return self

    @property
    def monitor(self) -> tuple[str, str] | None:
        """(space, metric) that early stopping may watch in this goal's place, or None."""
        if len(self.terms) > 1:
            return None
        space, _, metric = next(iter(self.terms)).partition("/")
        return (space, metric) if metric.startswith("cvr") else None

    def score(self, logs: Mapping[str, Any]) -> float:
        """Returns the goal's value for one epoch.

        Args:
            logs: the epoch's metrics as `fit` reports them (``val_all_funnel/cvr_auc``, ...).

        Returns:
            The weighted sum; NaN where a metric is (one class in validation).

        Raises:
            ValueError: if a metric is not among the logs.
        """
        total = 0.0
        for name, weight in self.terms.items():
            key = f"val_{name}"
            if key not in logs:
                raise ValueError(
                    f"goal: {key!r} is not among the metrics of fit, received {sorted(logs)}; pass "
                    "validation_data"
                )
            total += weight * worth(name, float(logs[key]))
        return total

    def __str__(self) -> str:
        """The goal in one line."""
        if len(self.terms) == 1:
            return next(iter(self.terms))
        return " + ".join(f"{weight:g} {name}" for name, weight in self.terms.items())
