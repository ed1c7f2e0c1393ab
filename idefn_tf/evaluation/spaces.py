"""The one place that decides what an evaluation space is: its rows and its conversion label.

| space         | rows           | conversion label                          | use                |
|---------------|----------------|-------------------------------------------|--------------------|
| all_raw       | every exposure | raw conversion, also where unclicked      | reports only       |
| all_funnel    | every exposure | click AND conversion                      | selection, reports |
| clicked       | clicked rows   | conversion                                | selection, reports |
| unclicked_raw | unclicked rows | raw conversion (probes)                   | reports only       |
| oracle        | every exposure | the simulator's potential conversion      | reports only       |

Early stopping, tuning and calibration may look at `SELECTION_SPACES` only: the other spaces need
columns that no deployed model has, so a choice made there would not be a choice one could make.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._checks import every_row, one_entry_per
from idefn_tf._checks import vector as flat
from idefn_tf._registry import register
from idefn_tf._rules import OneOf, checked
from idefn_tf.metrics import exact_metrics

Array = TypeVar("Array")


@dataclass(frozen=True)
class Space:
    """One evaluation space.

    Attributes:
        name: Its name in reports.
        rows: Which exposures belong to it: all, clicked or unclicked.
        label: Which conversion counts: funnel (click * conversion), raw or oracle.
        meaning: One sentence for readers of a report.

    Example:
        >>> from idefn_tf.evaluation import SPACES
        >>> SPACES["all_raw"].report_only, SPACES["clicked"].columns
        (True, ('click', 'conversion'))
    """

    name: str
    rows: Literal["all", "clicked", "unclicked"]
    label: Literal["funnel", "raw", "oracle"]
    meaning: str

    @property
    def report_only(self) -> bool:
        """Whether training and selection must not look at it."""
        return self.label != "funnel"

    @property
    def columns(self) -> tuple[str, ...]:
        """The label columns that it needs."""
        return ("click", _LABEL_COLUMN[self.label])


#: The column behind each kind of label.
_LABEL_COLUMN = {
    "funnel": "conversion",
    "raw": "conversion_raw",
    "oracle": "oracle_conversion",
}

#: Every space by name, in the order of reports.
SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        Space("all_raw", "all", "raw", "every exposure, the conversion as logged"),
        Space("all_funnel", "all", "funnel", "every exposure, conversions after a click"),
        Space("clicked", "clicked", "funnel", "clicked exposures, their conversions"),
        Space("unclicked_raw", "unclicked", "raw", "unclicked exposures, logged conversions"),
        Space("oracle", "all", "oracle", "every exposure, the conversion a click would bring"),
    )
}
#: Spaces that only reports may use.
REPORT_ONLY: frozenset[str] = frozenset(s.name for s in SPACES.values() if s.report_only)
#: Spaces that early stopping, tuning, kappa and calibration may use, on validation data.
SELECTION_SPACES: frozenset[str] = frozenset(SPACES) - REPORT_ONLY
#: The outputs that `evaluate_spaces` scores.
HEADS = ("ctr", "cvr", "ctcvr")


def get_space(name: str) -> Space:
    """The space of that name.

    Args:
        name: One of `SPACES`.

    Returns:
        The space.

    Raises:
        ValueError: On another name.

    Example:
        >>> from idefn_tf.evaluation import get_space
        >>> get_space("clicked").meaning
        'clicked exposures, their conversions'
    """
    return SPACES[checked("space", OneOf(tuple(SPACES)), name)]


def require_selection_space(name: str) -> str:
    """Refuses a space that early stopping, tuning or calibration must not look at.

    Args:
        name: The space asked for.

    Returns:
        The same name, if it is allowed.

    Raises:
        ValueError: On an unknown or a report-only space.
    """
    space = get_space(name)
    if space.report_only:
        raise ValueError(
            f"space: must be one of {', '.join(sorted(SELECTION_SPACES))} where a model is "
            "selected, stopped, tuned or calibrated, "
            f"received {name!r}, which needs `{space.columns[1]}` and is for reports only; "
            "select in 'all_funnel' or 'clicked' on validation data and report "
            f"{name!r} beside it"
        )
    return name


def _binary(name: str, columns: Mapping[str, ArrayLike], space: str) -> NDArray[np.float64]:
    """Column `name` as a float64 vector of 0 and 1."""
    if name not in columns:
        raise ValueError(
            f"columns: must hold {name!r} for the space {space!r}, "
            f"received {sorted(columns)}; add the column or leave this space out"
        )
    values = flat(f"columns[{name!r}]", columns[name])
    bad = ~((values == 0) | (values == 1))
    every_row(f"columns[{name!r}]", bad, "be 0 or 1", "binarise it, and drop rows without a label")
    return values


def select(
    space: str, columns: Mapping[str, ArrayLike]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Rows and conversion label of a space.

    Args:
        space: One of `SPACES`.
        columns: Vectors of 0 and 1 by name: "click"; "conversion" (0 where unclicked);
            "conversion_raw" for all_raw and unclicked_raw; "oracle_conversion" for oracle.

    Returns:
        (mask, label): both [rows], for every row given, bool and float64; apply the mask to both
        the label and the predictions.

    Raises:
        ValueError: On an unknown space, a column missing, values other than 0 and 1, or columns
            of different length.
    """
    chosen = get_space(space)
    click, label = (_binary(name, columns, space) for name in chosen.columns)
    if click.shape != label.shape:
        raise ValueError(
            "columns: must have one length, received "
            f"click {click.size}, {chosen.columns[1]} {label.size}; take both from the same rows"
        )
    if chosen.label == "funnel":
        label = click * label
    if chosen.rows == "all":
        return np.ones(click.shape, dtype=bool), label
    return click == (1.0 if chosen.rows == "clicked" else 0.0), label


def _json_safe(value: float) -> float | None:
    """The value, or None where it is not defined: NaN is not JSON."""
    return value if math.isfinite(value) else None


def _head_metrics(
    head: str,
    label: NDArray[np.float64],
    prediction: NDArray[np.float64],
    weight: NDArray[np.float64],
    groups: NDArray[Any] | None,
) -> dict[str, float | None]:
    """Metrics of one output on rows that are already selected."""
    functions = {"auc": exact_metrics.auc, "logloss": exact_metrics.log_loss}
    if head == "cvr":
        functions |= {"ks": exact_metrics.ks, "pcoc": exact_metrics.pcoc, "ece": exact_metrics.ece}
    values = {f"{head}_{name}": f(label, prediction, weight) for name, f in functions.items()}
    if head == "cvr" and groups is not None:
        values["cvr_gauc"] = exact_metrics.gauc(label, prediction, groups, weight)
    return {name: _json_safe(value) for name, value in values.items()}


@register("function")
def evaluate_spaces(
    predictions: Mapping[str, ArrayLike],
    columns: Mapping[str, ArrayLike],
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> dict[str, dict[str, float | int | None]]:
    """Exact metrics of all outputs in every space that the columns allow.

    In each space: `rows` and `positives` (counts of rows with a weight above zero), cvr_auc,
    cvr_ks, cvr_logloss, cvr_pcoc, cvr_ece, and cvr_gauc where `groups` is given. In all_raw and
    all_funnel also ctr_auc, ctr_logloss (label click) and ctcvr_auc, ctcvr_logloss (label click
    AND conversion), all over every exposure; elsewhere they would have one click class or a label
    that is not theirs.

    Args:
        predictions: Probabilities [rows] or [rows, 1] by output: some of ctr, cvr, ctcvr.
        columns: Label columns, see `select`. Spaces whose columns are missing are left out;
            "click" and "conversion" must be there.
        sample_weight: [rows] or [rows, 1], not negative, or None.
        groups: [rows], the user of each row, for GAUC; or None.

    Returns:
        {space: {metric: value}}; a value that is not defined is None, so the result is JSON.

    Raises:
        ValueError: On an unknown output, lengths that differ, or scores that are not
            probabilities (NaN included).

    Example:
        >>> from idefn_tf.evaluation import evaluate_spaces
        >>> labels = {"click": [1, 1, 1, 0], "conversion": [1, 0, 0, 0]}
        >>> found = evaluate_spaces({"cvr": [0.6, 0.7, 0.2, 0.1]}, labels)
        >>> found["clicked"]["cvr_auc"], round(found["all_funnel"]["cvr_auc"], 3)
        (0.5, 0.667)
    """
    if not predictions or not set(predictions) <= set(HEADS):
        raise ValueError(
            f"predictions: must hold some of {', '.join(HEADS)}, received "
            f"{sorted(predictions)}; pass the model's outputs by name"
        )
    click = _binary("click", columns, "all_funnel")
    funnel = select("all_funnel", columns)[1]

    def vector(name: str, values: ArrayLike, dtype: Any = np.float64) -> NDArray[Any]:
        array = flat(name, values, dtype)
        one_entry_per("row", name, array.size, click.size)
        return array

    scores = {head: vector(f"predictions[{head!r}]", v) for head, v in predictions.items()}
    ones = np.ones_like(click)
    weight = ones if sample_weight is None else vector("sample_weight", sample_weight)
    users = None if groups is None else vector("groups", groups, dtype=None)
    for head, score in scores.items():
        every_row(
            f"predictions[{head!r}]",
            (weight > 0) & ~((score >= 0) & (score <= 1)),
            "be probabilities in [0, 1]",
            f"apply the sigmoid to logits; {int(np.isnan(score).sum())} are NaN, which mean that "
            "the model diverged",
        )
    shared: dict[str, float | None] = {}
    for head, label in (("ctr", click), ("ctcvr", funnel)):
        if head in scores:
            shared |= _head_metrics(head, label, scores[head], weight, None)

    result: dict[str, dict[str, float | int | None]] = {}
    for space in SPACES.values():
        if not set(space.columns) <= set(columns):
            continue
        mask, label = select(space.name, columns)
        counted = mask & (weight > 0)
        values: dict[str, float | int | None] = {
            "rows": int(np.count_nonzero(counted)),
            "positives": int(np.count_nonzero(counted & (label == 1))),
        }
        if "cvr" in scores:
            of_users = None if users is None else users[mask]
            values |= _head_metrics("cvr", label[mask], scores["cvr"][mask], weight[mask], of_users)
        if space.name in ("all_raw", "all_funnel"):
            values |= shared
        result[space.name] = values
    return result
