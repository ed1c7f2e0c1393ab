"""The promotion gate: is a candidate fit to take the place of the version that is served?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from idefn_tf.data.arrow_to_numpy import to_arrays
from idefn_tf.data.files import Source, read_table
from idefn_tf.evaluation.mature_rows import mature_rows
from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.evaluation.spaces import evaluate_spaces, require_selection_space
from idefn_tf.evaluation.worth import worth
from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
from idefn_tf.export.open_version import open_version
from idefn_tf.export.psi import MOVED, score_stability
from idefn_tf.export.replay import request_arrays
from idefn_tf.export.scorer import Arrays, Scorer
from idefn_tf.export.signatures import DEFAULT, SCORES, WITH_HISTORY
from idefn_tf.schema import CLICK, CONVERSION, Schema

#: Metrics that can be gated; `worth` says which way each of them is better.
GATED = ("auc", "ece", "gauc", "ks", "logloss")


class GateError(ValueError):
    """A candidate must not take the served version's place.

    Example:
        >>> from idefn_tf.export import GateError
        >>> try:
        ...     raise GateError("all_funnel/cvr_auc 0.71 is worse than the served 0.74")
        ... except ValueError as error:
        ...     print(error)
        all_funnel/cvr_auc 0.71 is worse than the served 0.74
    """


@dataclass(frozen=True)
class Gate:
    """What a candidate must keep to, on the same rows as the version served.

    Attributes:
        metric: "<space>/<metric>", a space that selection may use (all_funnel, clicked).
        tolerance: how much worse the metric may be, as a share of the served version's value.
        max_stability_index: largest PSI of each score over the served version's deciles.
        max_mean_ratio: largest factor between the means of each score, either way.
        min_rank_correlation: least Spearman correlation of the two versions' cvr.
        whole_log: the rows come from a log that kept all of them, although training's did not.

    Raises:
        ValueError: for a metric or space that cannot decide, or limits out of range.

    Example:
        >>> from idefn_tf.export import Gate
        >>> Gate(metric="clicked/cvr_logloss", tolerance=0.02).tolerance
        0.02
        >>> Gate(metric="all_raw/cvr_auc")  # decides nothing, for it is for reports
        Traceback (most recent call last):
            ...
        ValueError: ...
    """

    metric: str = "all_funnel/cvr_auc"
    tolerance: float = 0.01
    max_stability_index: float = MOVED
    max_mean_ratio: float = 1.5
    min_rank_correlation: float = 0.5
    whole_log: bool = False

    def __post_init__(self) -> None:
        space, _, name = self.metric.partition("/")
        require_selection_space(space)
        if name.rpartition("_")[2] not in GATED or not name.startswith(SCORES):
            raise ValueError(
                f"metric: must be <space>/<output>_<one of {list(GATED)}>, such as "
                f"all_funnel/cvr_auc, received {self.metric!r}"
            )
        if self.tolerance < 0 or self.max_stability_index < 0 or self.max_mean_ratio < 1:
            raise ValueError(
                "gate: tolerance and max_stability_index must be 0 or more, max_mean_ratio 1 or "
                f"more, received {asdict(self)}"
            )

    def compare(
        self, candidate: str | Path, served: str | Path, schema: Schema, rows: Source
    ) -> dict[str, Any]:
        """Compares two versions on the same rows.

        Args:
            candidate: folder of the version to compare.
            served: folder of the version that answers now.
            schema: of the raw features.
            rows: exposures with their labels; use validation rows. Those whose attribution window
                is open are left out (`open_rows`).

        Returns:
            {"served", "limits", "rows", "open_rows", "metric": {...}, "moved": {output: {...}},
            "refusals"}: JSON-ready; an empty list of refusals means that the candidate may pass.

        Raises:
            ValueError: if the rows do not fit the schema.
        """
        table, open_rows = mature_rows(schema, read_table(rows, schema))
        report: dict[str, Any] = {"served": Path(served).name, "limits": asdict(self)}
        report |= {"rows": table.num_rows, "open_rows": open_rows}
        with open_version(candidate) as new, open_version(served) as old:
            if _types(new) != _types(old):
                return report | {"refusals": [_changed_inputs(old, new)]}
            requests = request_arrays(schema, table)
            scores = {"served": _score(old, requests), "candidate": _score(new, requests)}
        labels = to_arrays(schema, table)
        users = labels[schema.user_key] if schema.user_key else None
        found = {
            name: evaluate_spaces(
                {head: values[head] for head in SCORES},
                {key: labels[key] for key in (CLICK, CONVERSION)},
                row_weights(schema, labels, self.whole_log),
                users,
            )
            for name, values in scores.items()
        }
        judged = self._metric(found)
        moved = {head: _moved(scores["served"][head], scores["candidate"][head]) for head in SCORES}
        report |= {"metric": judged, "moved": moved}
        return report | {"refusals": [*self._worse(judged), *self._far(moved)]}

    def _metric(self, found: Mapping[str, Any]) -> dict[str, Any]:
        space, _, name = self.metric.partition("/")
        values = {version: spaces[space].get(name) for version, spaces in found.items()}
        return {"name": self.metric, "positives": found["served"][space]["positives"], **values}

    def _worse(self, judged: Mapping[str, Any]) -> list[str]:
        old, new = judged["served"], judged["candidate"]
        if old is None or new is None:
            return [
                f"{self.metric} is not defined on these rows ({judged['positives']} positives); "
                "give rows with both classes"
            ]
        loss = (worth(self.metric, old) - worth(self.metric, new)) / max(abs(old), 1e-12)
        if loss <= self.tolerance:
            return []
        return [
            f"{self.metric} is {new:.4f} and the served version's {old:.4f}: worse by "
            f"{loss:.1%}, more than the {self.tolerance:.1%} allowed"
        ]

    def _far(self, moved: Mapping[str, Mapping[str, float]]) -> list[str]:
        refusals = []
        for head, values in moved.items():
            index, ratio = values["stability_index"], values["mean_ratio"]
            if not index <= self.max_stability_index:
                refusals.append(
                    f"the distribution of {head} moved: PSI {index:.3f}, more than "
                    f"{self.max_stability_index:g}"
                )
            if not 1 / self.max_mean_ratio <= ratio <= self.max_mean_ratio:
                refusals.append(
                    f"the mean of {head} is {ratio:.2f} times the served version's, beyond a "
                    f"factor of {self.max_mean_ratio:g}"
                )
        correlation = moved["cvr"]["rank_correlation"]
        if correlation < self.min_rank_correlation:
            refusals.append(
                f"cvr ranks the rows differently: rank correlation {correlation:.2f}, less than "
                f"{self.min_rank_correlation:g}"
            )
        return refusals


def require(report: Mapping[str, Any]) -> None:
    """Raises where a report holds refusals.

    Raises:
        GateError: naming every reason.
    """
    if report["refusals"]:
        reasons = "; ".join(report["refusals"])
        raise GateError(
            f"gate: refused against version {report['served']}: {reasons}. Look at "
            "the model, or publish it in spite of the gate (--force)."
        )


def _types(scorer: Scorer | OnnxScorer) -> dict[str, str]:
    return {name: kind.name for name, kind in scorer.inputs().items()}


def _score(scorer: Scorer | OnnxScorer, requests: Mapping[str, np.ndarray]) -> Arrays:
    """Scores rows with their own history: that of a snapshot may hold their outcomes."""
    signature = WITH_HISTORY if WITH_HISTORY in scorer.signatures else DEFAULT
    return scorer.score(requests, signature=signature)


def _changed_inputs(old: Scorer | OnnxScorer, new: Scorer | OnnxScorer) -> str:
    before, after = set(_types(old).items()), set(_types(new).items())
    gone, come = sorted(n for n, _ in before - after), sorted(n for n, _ in after - before)
    return f"the inputs changed, so that clients would break: without {gone}, now with {come}"


def _moved(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    ranks = [pd.Series(values).rank().to_numpy() for values in (before, after)]
    constant = any(np.ptp(rank) == 0 for rank in ranks)
    return {
        "stability_index": score_stability(before, after),
        "mean_ratio": float(after.mean() / max(float(before.mean()), 1e-12)),
        # a constant score has no order to keep
        "rank_correlation": 1.0 if constant else float(np.corrcoef(ranks[0], ranks[1])[0, 1]),
    }
