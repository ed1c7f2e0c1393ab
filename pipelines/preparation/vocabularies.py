"""What is learned from the training rows alone: vocabularies, and the moments of numbers.

A vocabulary's order is that of `idefn_tf.data.vocabularies`, which says it. A tied feature has no
file of its own: its owner's is learned on the union of both.
"""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from idefn_tf._files import read_json, write_json
from idefn_tf.schema import Feature, Schema
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.value_counts import ValueCounts

_SHOWN = 5


def has_file(feature: Feature) -> bool:
    """Whether something is learned for a feature and written under its name."""
    if feature.kind == "numeric":
        return feature.needs_moments
    return feature.kind == "vocabulary" and feature.tied_to is None


def learn(counts: ValueCounts, schema: Schema, folder: Path, base: Path | None = None) -> None:
    """Learns every vocabulary and every mean and deviation, and writes them.

    Args:
        counts: of the prepared rows; the first part is train.
        schema: their schema.
        folder: where `<feature>.json` goes.
        base: earlier vocabularies to extend: their values keep their places, new ones fill the
            headroom, the most frequent first; means and deviations stay as they are.

    Raises:
        ValueError: if `base` lacks a feature.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = {} if base is None else load(base, schema)
    asked = [feature for feature in schema.features if has_file(feature)]
    numbers = [feature for feature in asked if feature.kind == "numeric"]
    moments = _moments(
        counts.parts[counts.first], [feature for feature in numbers if feature.name not in earlier]
    )
    for feature in numbers:
        write_json(folder / f"{feature.name}.json", (earlier | moments)[feature.name])
    for feature in asked:
        if feature.kind == "numeric":
            continue
        family = [feature, *(f for f in schema.recorded if f.tied_to == feature.name)]
        found: dict[str, Any] = {"kind": "vocabulary"}
        if feature.name in earlier:
            before = earlier[feature.name]["values"]
            places = capacity(feature, earlier[feature.name])
            known = frozenset(before)
            # so many values hold a new one for every free place, whatever of them is known
            frequent = counts.ranked(family, feature.min_count, places).to_pylist()
            fresh = (value for value in frequent if value not in known)
            found["values"] = [*before, *itertools.islice(fresh, places - len(before))]
            found["capacity"] = places
        else:
            ranked = counts.ranked(family, feature.min_count, feature.max_size)
            found["values"] = ranked.to_pylist()
        write_json(folder / f"{feature.name}.json", found)


def capacity(feature: Feature, learned: Mapping[str, Any]) -> int:
    """Returns how many ids the feature's table has places for: those known and the headroom."""
    return int(learned.get("capacity", max(len(learned["values"]), 1) + feature.headroom))


def compare(base: Path, folder: Path, schema: Schema) -> dict[str, dict[str, int]]:
    """Says for each vocabulary how many ids are new, and how many places are left."""
    before, after = load(base, schema), load(folder, schema)
    return {
        feature.name: {
            "new": len(after[feature.name]["values"]) - len(before[feature.name]["values"]),
            "places_left": capacity(feature, after[feature.name])
            - len(after[feature.name]["values"]),
        }
        for feature in schema.features
        if feature.name in after and feature.kind == "vocabulary"
    }


def copy_vocabularies(learned: Path | None, folder: Path) -> None:
    """Copies what was learned elsewhere; nothing where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(learned.glob("*.json")) if learned else []:
        shutil.copyfile(path, folder / path.name)


def load(folder: Path, schema: Schema) -> dict[str, dict[str, Any]]:
    """Reads what was learned, by feature.

    Raises:
        ValueError: if a feature's file is absent or holds another kind.
    """
    learned = {}
    for feature in schema.features:
        if not has_file(feature):
            continue
        path = folder / f"{feature.name}.json"
        if not path.is_file() and feature.kind == "numeric" and not feature.standardize:
            continue  # of an earlier release, which learned no mean for these
        if not path.is_file():
            raise ValueError(
                f"vocabularies: {path} must be there for the feature {feature.name!r}; give the "
                "vocabularies folder that belongs to this schema"
            )
        value = read_json(path, "prepare the data anew")
        if value.get("kind") != feature.kind:
            raise ValueError(
                f"vocabularies: {path} must be of kind {feature.kind}, received {value.get('kind')}"
            )
        learned[feature.name] = value
    return learned


def describe(
    counts: ValueCounts, schema: Schema, learned: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Describes every feature for the data card.

    Args:
        counts: of the prepared rows; the first part gives the top values.
        schema: their schema.
        learned: what `load` gives.

    Returns:
        For each feature its kind and, as far as they apply: vocabulary_size, out_of_vocabulary
        (share of the values present, per part), distinct and top values with their share, or
        mean, std, least and greatest.
    """
    return {
        f.name: {"kind": f.kind} | _describe(counts, f, learned)
        for f in schema.features
        if counts.covers(f)
    }


def _describe(
    counts: ValueCounts, feature: Feature, learned: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    if feature.kind in ("numeric", "bucketized"):
        table = counts.parts[counts.first]
        column = table[feature.name].cast("float64")
        with translated_errors("describing the data"):
            row = table.aggregate(
                mean=column.mean(),
                std=column.std(how="pop"),
                least=column.min(),
                greatest=column.max(),
            )
            described = row.to_pyarrow().to_pylist()[0]
        return {k: _rounded(v) for k, v in described.items() if v is not None and math.isfinite(v)}
    described, unknown = {}, {}
    for part in counts.parts:
        counted = counts.of(part, feature)
        rows = counted["rows"].to_numpy()
        total = int(rows.sum())
        if part == counts.first:
            described["distinct"] = counted.num_rows
            top = counts.top(feature, _SHOWN).to_pylist()
            described["top"] = [
                {"value": entry["value"], "share": entry["rows"] / total} for entry in top
            ]
        known = _known(feature, learned, counted["value"])
        if known is not None:
            unknown[part] = int(rows[~known].sum()) / total if total else 0.0
    counts.forget(feature)
    if unknown:
        described["out_of_vocabulary"] = unknown
    owner = feature.tied_to or feature.name
    if owner in learned:
        described["vocabulary_size"] = len(learned[owner]["values"])
    return described


def _known(
    feature: Feature, learned: Mapping[str, Mapping[str, Any]], values: pa.ChunkedArray
) -> NDArray[np.bool_] | None:
    """Returns which values the feature's table has a place for; None where it takes any."""
    if feature.kind == "identity":
        numbers = values.to_numpy()
        inside: NDArray[np.bool_] = (numbers >= 0) & (numbers < (feature.num_buckets or 0))
        return inside
    owner = feature.tied_to or feature.name
    if feature.kind != "vocabulary" or owner not in learned:
        return None
    places = pa.array(learned[owner]["values"], values.type)
    found: NDArray[np.bool_] = pc.is_in(values, value_set=places).to_numpy()
    return found


def _moments(train: ir.Table, features: Sequence[Feature]) -> dict[str, Any]:
    """The mean and the (population) deviation of the values that are there, as the model reads."""
    asked: dict[str, ir.Value] = {}
    for i, feature in enumerate(features):
        column = train[feature.name].cast("float64")
        if feature.log1p:
            column = (ibis.greatest(column, 0.0) + 1.0).ln()  # as the model's input does
            column = ibis.ifelse(train[feature.name].isnull(), ibis.null("float64"), column)
        asked |= {f"mean_{i}": column.mean(), f"std_{i}": column.std(how="pop")}
    if not asked:
        return {}
    with translated_errors("learning means and deviations"):
        row = train.aggregate(**asked).to_pyarrow().to_pylist()[0]
    found = {}
    for i, feature in enumerate(features):
        mean, std = row[f"mean_{i}"] or 0.0, row[f"std_{i}"]
        # a constant column stays zero, not 0/0
        std = _rounded(std) if std else 1.0
        found[feature.name] = {"kind": "numeric", "mean": _rounded(mean), "std": std}
    return found


def _rounded(value: float) -> float:
    # sums over threads differ in their last digits from run to run
    return float(f"{value:.12g}")
