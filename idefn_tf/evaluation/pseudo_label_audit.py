"""The audit of pseudo-labels: how many, how often right, how much they change. Reports only.

It reads recorded conversions of unclicked rows (or the simulator's potential conversions), which
no training step may see; nothing here flows back into a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.batch import Batch
from idefn_tf.models.methods.all_negative import AllNegative


@dataclass(frozen=True)
class PseudoLabelAudit:
    """What one pass over the training rows says of a model's pseudo-labels.

    Attributes:
        unclicked: unclicked rows seen.
        relabelled: rows with a pseudo-label.
        share: relabelled / unclicked.
        true: relabelled rows whose recorded (or oracle) conversion is 1.
        prevalence: share of such rows among all the unclicked.
        precision: true / relabelled, with its 95 % Wilson interval `precision_low`, `_high`.
        recall: true / all such rows.
        lift: precision / prevalence; `lift_low` and `lift_high` from the interval.
        overlap: Jaccard overlap of the relabelled rows with the previous audit's.
        mean_cvr_unclicked: mean predicted CVR of the unclicked rows.

    Example:
        >>> import numpy as np
        >>> from idefn_tf.evaluation import audit_labels
        >>> audit = audit_labels(np.array([1, 0, 0]), np.zeros(3), np.array([1, 0, 0]))
        >>> audit.true, audit.recall, round(audit.prevalence, 3)
        (1, 1.0, 0.333)
    """

    unclicked: int
    relabelled: int
    share: float
    true: int
    prevalence: float
    precision: float
    precision_low: float
    precision_high: float
    recall: float
    lift: float
    lift_low: float
    lift_high: float
    overlap: float
    mean_cvr_unclicked: float

    @property
    def measurable(self) -> bool:
        """Whether any unclicked row has a conversion, without which labels are right or wrong."""
        return self.prevalence > 0

    def as_dict(self) -> dict[str, Any]:
        """Returns the numbers by name."""
        return asdict(self)


def wilson(successes: float, trials: float, z: float = 1.959964) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of a share; (nan, nan) without trials."""
    if trials <= 0:
        return math.nan, math.nan
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return (centre - half) / scale, (centre + half) / scale


@register("function")
def audit_labels(
    relabelled: np.ndarray,
    click: np.ndarray,
    truth: np.ndarray,
    cvr: np.ndarray | None = None,
    previous: np.ndarray | None = None,
) -> PseudoLabelAudit:
    """Compares pseudo-labels with what is known of the unclicked rows.

    Args:
        relabelled: which rows have a pseudo-label, boolean [rows]; clicked ones do not count.
        click: [rows].
        truth: recorded or potential conversion [rows].
        cvr: predicted CVR [rows], for its mean.
        previous: the relabelled rows of the audit before, boolean [rows].

    Returns:
        The numbers; nan where a share has no denominator, and, for precision and lift, where no
        unclicked row has a conversion (`measurable`).

    Example:
        >>> import numpy as np
        >>> from idefn_tf.evaluation import audit_labels
        >>> relabelled, click = np.array([1, 1, 0, 0, 1]), np.array([0, 0, 0, 0, 1])
        >>> found = audit_labels(relabelled, click, truth=np.array([1, 0, 0, 0, 1]))
        >>> found.relabelled, found.precision, found.lift  # the clicked row does not count
        (2, 0.5, 2.0)
    """
    unclicked = np.asarray(click) == 0
    chosen = unclicked & np.asarray(relabelled, bool)
    hits = int(np.sum(chosen & (truth == 1)))
    hidden = int(np.sum(unclicked & (truth == 1)))
    count, rows = int(chosen.sum()), int(unclicked.sum())
    # without a recorded conversion nothing says which labels are right
    low, high = wilson(hits, count) if hidden else (math.nan, math.nan)
    prevalence = _ratio(hidden, rows)
    overlap = math.nan
    if previous is not None:
        overlap = _ratio(int(np.sum(chosen & previous)), int(np.sum(chosen | previous)))
    return PseudoLabelAudit(
        unclicked=rows,
        relabelled=count,
        share=_ratio(count, rows),
        true=hits,
        prevalence=prevalence,
        precision=_ratio(hits, count) if hidden else math.nan,
        precision_low=low,
        precision_high=high,
        recall=_ratio(hits, hidden),
        lift=_ratio(_ratio(hits, count), prevalence),
        lift_low=_ratio(low, prevalence),
        lift_high=_ratio(high, prevalence),
        overlap=overlap,
        mean_cvr_unclicked=math.nan if cvr is None or not rows else float(np.mean(cvr[unclicked])),
    )


class Relabeller:
    """Runs a model's relabelling over rows, by one program for every call.

    Args:
        model: a model of the Eq. 15 family (it has `pseudo_labels`), compiled if it will be.
    """

    def __init__(self, model: AllNegative) -> None:
        self.model = model
        self._step = tf.function(self._one_batch, reduce_retracing=True, autograph=False)

    def __call__(
        self, arrays: Mapping[str, np.ndarray], batch_size: int, seed: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Relabels all rows, in shuffled batches as in training.

        Args:
            arrays: `to_arrays` of the rows, labels included.
            batch_size: rows a batch; plans depend on it.
            seed: of the order.

        Returns:
            Which rows have a pseudo-label above the model's `label_floor`, boolean [rows], and
            predicted CVR [rows], in the order of `arrays`.
        """
        rows = len(arrays["click"])
        labels, cvr = np.zeros(rows, np.float32), np.zeros(rows, np.float32)
        order = np.random.default_rng(seed).permutation(rows)
        features = self.model.features
        for start in range(0, rows, batch_size):
            at = order[start : start + batch_size]
            raw = {name: tf.constant(arrays[name][at]) for name in features.raw_names}
            batch = (tf.constant(arrays[k][at]) for k in ("click", "conversion", "sample_weight"))
            labels[at], cvr[at] = self._step(features.encode(raw), *batch)
        return labels > self.model.label_floor, cvr

    def _one_batch(self, encoded: Any, click: Any, conversion: Any, weight: Any) -> Any:
        outputs = self.model.forward(self.model.features(encoded), training=False)
        labels = self.model.pseudo_labels(outputs, Batch(click, conversion, weight))
        return labels, outputs.probability("cvr")


def relabel_rows(
    model: AllNegative,
    arrays: Mapping[str, np.ndarray],
    batch_size: int,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Runs a model's relabelling over all rows once, as `Relabeller` does.

    Args:
        model: a model of the Eq. 15 family.
        arrays: `to_arrays` of the rows, labels included.
        batch_size: rows a batch; plans depend on it.
        seed: of the order.

    Returns:
        As `Relabeller` does.
    """
    return Relabeller(model)(arrays, batch_size, seed)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
