"""How a day's requests differ from the data that a model was trained on, feature by feature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data import convert, list_columns
from idefn_tf.data.files import column_values
from idefn_tf.export.psi import MOVED, stability_index
from idefn_tf.schema import WINDOW_OPEN, Feature, Schema, lists

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Limits:
    """From where on a difference counts as drift.

    A difference counts where it is beyond its limit and beyond what so few rows show by chance (one
    in a thousand draws from the training data): a hundred rows of an unchanged log do not drift.

    Attributes:
        stability_index: PSI over the training data's most frequent values and the rest.
        mean_shift: distance of the means in standard deviations of the training data.
        out_of_vocabulary: rise of the share of unknown values over the latest training part.
        missing: change of the share of missing values, or of a feature that was constant.
        frequent: share of the rows in which a feature's most frequent values were that must be
            left of them; tells new ids where a feature has no vocabulary (hash).
    """

    stability_index: float = MOVED
    mean_shift: float = 0.5
    out_of_vocabulary: float = 0.05
    missing: float = 0.05
    frequent: float = 0.25


def closed(table: pa.Table, arrays: Arrays) -> tuple[pa.Table, Arrays, int]:
    """Leaves out prepared rows whose attribution window is open; requests say nothing of it.

    Args:
        table: the rows as they came.
        arrays: the same rows as the model reads them.

    Returns:
        Both without those rows, and how many there were; as they are where all windows are open.
    """
    if WINDOW_OPEN not in table.column_names:
        return table, arrays, 0
    mature = np.asarray(column_values(table, WINDOW_OPEN)) == 0
    left_out = int(np.count_nonzero(~mature))
    if not mature.any():
        return table, arrays, 0
    kept = table.filter(pa.array(mature))
    return kept, {name: values[mature] for name, values in arrays.items()}, left_out


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
        By feature: "missing", the share of rows without a value: a missing cell, an id of -1 or "",
        a list without entries; "out_of_vocabulary", the share of unknown values among those
        present; None where the question has no meaning, or a prepared table no longer tells.
    """
    found = {}
    for feature in schema.features:
        if feature.train_only:
            continue
        values = arrays[feature.name]
        found[feature.name] = {
            "missing": _missing(feature, table, schema.missing_words),
            "out_of_vocabulary": _unknown(feature, values, vocabularies),
        }
    return found


def _missing(feature: Feature, table: pa.Table, words: Sequence[str]) -> float | None:
    """The share of rows without a value, counted as the data card counts it."""
    if "row_id" in table.column_names and _filled(feature):
        return None
    name = feature.name if feature.name in table.column_names else feature.source
    if feature.multi_valued:
        alone = feature.model_copy(update={"missing": None, "weights": None})
        entries = list_columns.read(alone, table, name, None, words)[feature.name]
        return float(np.mean(~_present(feature, entries).any(axis=1)))
    place = convert.Place(name, feature.dtype, words)
    values, missing = convert.read(column_values(table, name), place)
    return float(np.mean(missing | ~_present(feature, values)))


def _filled(feature: Feature) -> bool:
    """Whether a prepared row no longer tells a missing value from one that equals its stand-in."""
    fill: Any = feature.fill
    ids = feature.categorical and feature.kind != "bucketized"
    return not (fill != fill or (ids and fill == lists.PADDING[feature.dtype]))


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
                values[f"{measure}_then"] = then
        values["asked"] = float(len(arrays[feature.name]))
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
        numbers = values.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if not numbers.size or known.get("mean") is None:
            return {}
        if not known.get("std"):
            others = ~np.isclose(numbers, known["mean"], rtol=1e-6, atol=1e-12)
            return {"left_constant": float(np.mean(others)), "rows": float(numbers.size)}
        shift = float(abs(numbers.mean() - known["mean"]) / known["std"])
        return {"mean_shift": shift, "rows": float(numbers.size)}
    top = known.get("top")
    if not top:
        return {}
    there = _present(feature, values)
    present = values[there]
    if not present.size:
        return {}
    # entries of one list come together: by chance they stray like one draw
    rows = int(np.count_nonzero(there.any(axis=1))) if there.ndim > 1 else present.size
    then: Sequence[float] = [entry["share"] for entry in top]
    now = [float(np.mean(present == _stored(entry["value"]))) for entry in top]
    rest = [max(0.0, 1.0 - sum(shares)) for shares in (then, now)]
    return {
        "stability_index": stability_index([*then, rest[0]], [*now, rest[1]]),
        "chi_squared": _chi_squared([*then, rest[0]], [*now, rest[1]], rows),
        "bins": float(len(top) + 1),
        "frequent_then": float(sum(then)),
        "frequent_now": float(sum(now)),
        "rows": float(rows),
    }


#: Standard deviations that one draw in a thousand lies beyond.
_RARE = 3.09


def _chi_squared(then: Sequence[float], now: Sequence[float], rows: int) -> float:
    """Returns Pearson's statistic of the shares seen in so many rows against the expected ones."""
    expected = np.maximum(np.asarray(then), 0.5 / rows)  # a share of 0 was counted, too
    return float(rows * np.sum((np.asarray(now) - expected) ** 2 / expected))


def _chance_chi_squared(bins: float) -> float:
    """Returns what Pearson's statistic exceeds once in a thousand draws (Wilson-Hilferty)."""
    free = max(bins - 1.0, 1.0)
    return float(free * (1.0 - 2.0 / (9.0 * free) + _RARE * math.sqrt(2.0 / (9.0 * free))) ** 3)


def _chance_share(share: float, rows: float) -> float:
    """Returns how far a share in so many rows strays from `share` once in a thousand draws."""
    spread = max(share * (1.0 - share), 0.25 / rows)  # a share of 0 or 1 was counted, too
    return _RARE * math.sqrt(spread / rows) + 0.5 / rows


def _reasons(values: Mapping[str, float], limits: Limits) -> list[str]:
    reasons = []
    rows = max(values.get("rows", 0.0), 1.0)
    index = values.get("stability_index", 0.0)
    chance = _chance_chi_squared(values.get("bins", 2.0))
    if index > limits.stability_index and values["chi_squared"] > chance:
        reasons.append(f"PSI {index:.3f} > {limits.stability_index:g}")
    then, now = values.get("frequent_then", 0.0), values.get("frequent_now", 0.0)
    if now < limits.frequent * then and then - now > _chance_share(then, rows):
        reasons.append(
            f"the most frequent values are {now:.2%} of the rows and were {then:.2%}, less than "
            f"{limits.frequent:g} of it"
        )
    if values.get("left_constant", 0.0) > limits.missing:
        share = values["left_constant"]
        reasons.append(f"was one number on every training row and is another on {share:.1%}")
    if values.get("mean_shift", 0.0) > max(limits.mean_shift, _RARE / math.sqrt(rows)):
        reasons.append(f"mean moved by {values['mean_shift']:.2f} sd > {limits.mean_shift:g}")
    if values.get("out_of_vocabulary_change", 0.0) > _limit(values, "out_of_vocabulary", limits):
        change = values["out_of_vocabulary_change"]
        reasons.append(f"unknown values rose by {change:.1%} > {limits.out_of_vocabulary:.0%}")
    if abs(values.get("missing_change", 0.0)) > _limit(values, "missing", limits):
        change = values["missing_change"]
        reasons.append(f"missing values changed by {change:+.1%}, beyond {limits.missing:.0%}")
    return reasons


def _limit(values: Mapping[str, float], measure: str, limits: Limits) -> float:
    """Returns the change of a share that counts: its limit, or what so few rows show by chance."""
    chance = _chance_share(values.get(f"{measure}_then", 0.0), max(values["asked"], 1.0))
    return max(getattr(limits, measure), chance)
