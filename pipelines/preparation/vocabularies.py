"""What is learned from the training rows alone: vocabularies, and the moments of numbers.

A vocabulary's order is that of `idefn_tf.data.vocabularies`, which says it. A tied feature has no
file of its own: its owner's is learned on the union of both.
"""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
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

_ABSENT = {"int64": -1, "string": ""}
_SHOWN = 5


def has_file(feature: Feature) -> bool:
    """Whether something is learned for a feature and written under its name."""
    if feature.kind == "numeric":
        return feature.needs_moments
    return feature.kind == "vocabulary" and feature.tied_to is None


def learn(train: ir.Table, schema: Schema, folder: Path, base: Path | None = None) -> None:
    """Learns every vocabulary and every mean and deviation, and writes them.

    Args:
        train: the prepared training rows.
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
    moments = _moments(train, [feature for feature in numbers if feature.name not in earlier])
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
            frequent = _vocabulary(train, family, places)
            fresh = (value for value in frequent if value not in known)
            found["values"] = [*before, *itertools.islice(fresh, places - len(before))]
            found["capacity"] = places
        else:
            found["values"] = list(_vocabulary(train, family, feature.max_size))
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
    parts: Mapping[str, ir.Table], schema: Schema, learned: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Describes every feature for the data card.

    Args:
        parts: the prepared rows of each part; the first one gives the top values.
        schema: their schema.
        learned: what `load` gives.

    Returns:
        For each feature its kind and, as far as they apply: vocabulary_size, out_of_vocabulary
        (share of the values present, per part), distinct and top values with their share, or
        mean, std, least and greatest.
    """
    there = next(iter(parts.values())).columns  # a sequence is a place in its stream
    return {
        f.name: {"kind": f.kind} | _describe(parts, f, learned)
        for f in schema.features
        if f.name in there
    }


def _describe(
    parts: Mapping[str, ir.Table], feature: Feature, learned: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    first = next(iter(parts))
    if feature.kind in ("numeric", "bucketized"):
        column = parts[first][feature.name].cast("float64")
        with translated_errors("describing the data"):
            row = parts[first].aggregate(
                mean=column.mean(),
                std=column.std(how="pop"),
                least=column.min(),
                greatest=column.max(),
            )
            described = row.to_pyarrow().to_pylist()[0]
        return {k: _rounded(v) for k, v in described.items() if v is not None and math.isfinite(v)}
    counted = _counted(parts, feature)
    rows = {part: counted[f"rows_{i}"].to_numpy() for i, part in enumerate(parts)}
    described = {"distinct": int(np.count_nonzero(rows[first]))}
    described["top"] = _top(counted, int(rows[first].sum()))
    known = _known(feature, learned, counted["value"])
    if known is not None:
        totals = {part: (int(n.sum()), int(n[~known].sum())) for part, n in rows.items()}
        described["out_of_vocabulary"] = {
            part: unknown / total if total else 0.0 for part, (total, unknown) in totals.items()
        }
    owner = feature.tied_to or feature.name
    if owner in learned:
        described["vocabulary_size"] = len(learned[owner]["values"])
    return described


def _top(counted: pa.Table, present: int) -> list[dict[str, Any]]:
    """Returns the most frequent values of the first part with their shares."""
    some = counted.filter(pc.greater(counted["rows_0"], 0))
    keys = [("rows_0", "descending"), ("value", "ascending")]
    top = some.take(pc.select_k_unstable(some, k=_SHOWN, sort_keys=keys)).to_pylist()
    return [{"value": entry["value"], "share": entry["rows_0"] / present} for entry in top]


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


def _values(table: ir.Table, feature: Feature) -> ir.Table:
    """One row per value present in a feature."""
    column = table[feature.name]
    value = column.unnest() if feature.multi_valued else column
    values = table.select(value=value)
    return values.filter(values["value"] != _ABSENT[feature.dtype])


def _vocabulary(train: ir.Table, family: Sequence[Feature], most: int | None) -> Iterator[Any]:
    """Yields a family's values, the most frequent first; no more than `most`."""
    owner = family[0]
    tables = [_values(train, feature) for feature in family]
    union = ibis.union(*tables) if len(tables) > 1 else tables[0]
    counted = union.group_by("value").aggregate(rows=lambda t: t.count())
    counted = counted.filter(counted["rows"] >= owner.min_count)
    counted = counted.order_by(ibis.desc("rows"), "value")
    if most is not None:
        counted = counted.limit(most)
    with translated_errors("learning vocabularies"):
        for batch in counted.select("value").to_pyarrow().to_batches():
            yield from batch["value"].to_pylist()


def _counted(parts: Mapping[str, ir.Table], feature: Feature) -> pa.Table:
    """Returns every `value` with its rows in each part, `rows_0`, `rows_1` and so on."""
    names = {part: f"rows_{i}" for i, part in enumerate(parts)}
    labelled = [
        _values(table, feature).mutate(
            **{n: ibis.literal(int(p == part)) for p, n in names.items()}
        )
        for part, table in parts.items()
    ]
    union = ibis.union(*labelled) if len(labelled) > 1 else labelled[0]
    sums = {n: union[n].sum().cast("int64") for n in names.values()}
    with translated_errors("describing the data"):
        return union.group_by("value").aggregate(**sums).to_pyarrow()


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
