"""How a day's requests differ from the data that a model was trained on, feature by feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.export.psi import MOVED, stability_index
from idefn_tf.schema import Feature, Schema, lists

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Limits:
    """From where on a difference counts as drift.

    Attributes:
        stability_index: PSI over the training data's most frequent values and the rest.
        mean_shift: distance of the means in standard deviations of the training data.
        out_of_vocabulary: rise of the share of unknown values over the latest training part.
        missing: change of the share of missing values.
    """

    stability_index: float = MOVED
    mean_shift: float = 0.5
    out_of_vocabulary: float = 0.05
    missing: float = 0.05


def describe(
    schema: Schema,
    table: pa.Table,
    arrays: Arrays,
    vocabularies: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, float | None]]:
    """Measures every feature of a request.

    Args:
        schema: of the raw features.
        table: the rows as they came.
        arrays: the same rows as the model reads them.
        vocabularies: what the run learned.

    Returns:
        By feature: "missing", the share of nulls, or of the value that stands for one where the
        table has no null; "out_of_vocabulary", the share of unknown values among those present;
        None where the question has no meaning.
    """
    found = {}
    for feature in schema.features:
        if feature.train_only:
            continue
        values = arrays[feature.name]
        found[feature.name] = {
            "missing": _missing(feature, table, values),
            "out_of_vocabulary": _unknown(feature, values, vocabularies),
        }
    return found


def _missing(feature: Feature, table: pa.Table, values: np.ndarray) -> float | None:
    if feature.multi_valued:
        return float(np.mean(_empty(feature, values)))
    name = feature.name if feature.name in table.column_names else feature.source
    nulls = table[name].null_count / max(table.num_rows, 1) if name in table.column_names else 0.0
    if nulls:
        return float(nulls)
    if feature.missing is None and feature.dtype == "float32":
        return 0.0  # a 0.0 may be a value like any other
    return float(np.mean(values == _stored(feature.fill)))


def _empty(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Returns the rows whose list is empty, or holds nothing but what stands for that."""
    present = _present(feature, values)
    missing = lists.stand_in(feature)
    alone = np.zeros(len(values), bool)
    if missing is not None:
        alone = (values[:, 0] == _stored(missing)) & ~present[:, 1:].any(axis=1)
    return np.asarray(~present.any(axis=1) | alone)


def _unknown(
    feature: Feature, values: np.ndarray, vocabularies: Mapping[str, Mapping[str, Any]]
) -> float | None:
    if feature.kind not in ("identity", "vocabulary"):
        return None
    present = values[_present(feature, values)]
    if not present.size:
        return 0.0
    if feature.kind == "identity":
        return float(np.mean((present < 0) | (present >= (feature.num_buckets or 0))))
    known = {_stored(v) for v in vocabularies[feature.tied_to or feature.name]["values"]}
    return float(np.mean([value not in known for value in present.tolist()]))


def _present(feature: Feature, values: np.ndarray) -> np.ndarray:
    if not feature.categorical or feature.kind == "bucketized":
        return np.ones(values.shape, bool)
    return np.asarray(values != (b"" if feature.dtype == "string" else -1))


def _stored(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def compare(
    schema: Schema,
    arrays: Arrays,
    measured: Mapping[str, Mapping[str, float | None]],
    card: Mapping[str, Any],
    limits: Limits,
) -> dict[str, Any]:
    """Compares requests with a data card.

    Args:
        schema: of the raw features.
        arrays: the rows as the model reads them.
        measured: what `describe` gave for them.
        card: the training data's card.
        limits: from where on a difference counts.

    Returns:
        {"limits", "features": {name: {measure: value}}, "drifted": {name: [reasons]}}. Features
        that the card does not describe are left out.
    """
    features: dict[str, Any] = {}
    drifted: dict[str, list[str]] = {}
    for feature in schema.features:
        known = card.get("features", {}).get(feature.name)
        if feature.train_only or known is None:
            continue
        values = _distance(feature, arrays[feature.name], known)
        for measure in ("missing", "out_of_vocabulary"):
            now, then = measured[feature.name][measure], _latest(known.get(measure))
            if now is not None and then is not None:
                values[f"{measure}_change"] = now - then
        features[feature.name] = values
        reasons = _reasons(values, limits)
        if reasons:
            drifted[feature.name] = reasons
    return {"limits": asdict(limits), "features": features, "drifted": drifted}


def _latest(parts: Any) -> float | None:
    """Returns the rate of the part nearest to serving: train knows no unknown values."""
    if not isinstance(parts, Mapping):
        return None
    found: list[Any] = [parts[p] for p in ("validation", "test", "train", "all") if p in parts]
    return float(found[0]) if found and found[0] is not None else None


def _distance(feature: Feature, values: np.ndarray, known: Mapping[str, Any]) -> dict[str, float]:
    if feature.kind in ("numeric", "bucketized"):
        if not known.get("std") or not values.size:
            return {}
        numbers = values.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        return {"mean_shift": float(abs(numbers.mean() - known["mean"]) / known["std"])}
    top = known.get("top")
    if not top:
        return {}
    present = values[_present(feature, values)]
    if not present.size:
        return {}
    then: Sequence[float] = [entry["share"] for entry in top]
    now = [float(np.mean(present == _stored(entry["value"]))) for entry in top]
    rest = [max(0.0, 1.0 - sum(shares)) for shares in (then, now)]
    return {"stability_index": stability_index([*then, rest[0]], [*now, rest[1]])}


def _reasons(values: Mapping[str, float], limits: Limits) -> list[str]:
    reasons = []
    if values.get("stability_index", 0.0) > limits.stability_index:
        reasons.append(f"PSI {values['stability_index']:.3f} > {limits.stability_index:g}")
    if values.get("mean_shift", 0.0) > limits.mean_shift:
        reasons.append(f"mean moved by {values['mean_shift']:.2f} sd > {limits.mean_shift:g}")
    if values.get("out_of_vocabulary_change", 0.0) > limits.out_of_vocabulary:
        change = values["out_of_vocabulary_change"]
        reasons.append(f"unknown values rose by {change:.1%} > {limits.out_of_vocabulary:.0%}")
    if abs(values.get("missing_change", 0.0)) > limits.missing:
        change = values["missing_change"]
        reasons.append(f"missing values changed by {change:+.1%}, beyond {limits.missing:.0%}")
    return reasons
