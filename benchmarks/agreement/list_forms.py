"""Lists in every form that a table may hold them, each beside the padded list that it means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.agreement import cell_forms, spellings
from benchmarks.agreement.cell_forms import Column
from benchmarks.agreement.spellings import one_of
from idefn_tf.schema import Feature

_PADDING = {"int64": -1, "string": ""}
_FORMS = ("lists", "tuples", "arrays", "text", "arrow", "mixed entries", "mixed", "one value")
_WEIGHTS = (1.0, 0.5, 2.0, 0.25, 0.0, 3.0)


def draw(rng: np.random.Generator, feature: Feature, rows: int) -> list[Column]:
    """Draws the column of a list feature and, where it has weights, theirs."""
    form = one_of(rng, _FORMS)
    most = 2 if form == "one value" else (feature.max_length or 1) + 3
    lists = [_entries(rng, feature, int(rng.integers(0, most))) for _ in range(rows)]
    weights = [[_weight(rng, entry) for entry in some] for some in lists]
    cells = [_cell(rng, form, feature, some) for some in lists]
    kind = pa.int64() if feature.dtype == "int64" else pa.string()
    typed = [_padded(feature, some) for some in lists]
    found = [Column(form, _series(form, cells, feature.source, kind), [t for t, _ in typed])]
    if feature.weights is not None:
        name = one_of(rng, ("lists", "text", "arrow", "mixed")) if most > 2 else form
        made = [_weight_cell(rng, name, feature, some) for some in weights]
        meant = [
            _weights_of(places, some, feature)
            for (_, places), some in zip(typed, weights, strict=True)
        ]
        found.append(Column(name, _series(name, made, feature.weights, pa.float64()), meant))
    return found


def _entries(rng: np.random.Generator, feature: Feature, count: int) -> list[Any]:
    found = [None if rng.random() < 0.1 else cell_forms.known(rng, feature) for _ in range(count)]
    return [] if found == [None] else found  # as text that is a list without a place


def _weight(rng: np.random.Generator, entry: Any) -> float | None:
    return one_of(rng, (None, 1.0)) if entry is None else one_of(rng, _WEIGHTS)


def _padded(feature: Feature, entries: list[Any]) -> tuple[list[Any], list[int]]:
    """Returns the list that is meant, and the places of its entries; -1 for `missing`."""
    padding = _PADDING[feature.dtype]
    places = [i for i, entry in enumerate(entries) if entry is not None and entry != padding]
    places = places[: feature.max_length]
    found = [entries[i] for i in places]
    if not found and feature.missing is not None:
        found, places = [feature.missing], [-1]
    return found + [padding] * ((feature.max_length or 1) - len(found)), places


def _weights_of(places: list[int], weights: list[Any], feature: Feature) -> list[float]:
    found = [1.0 if place < 0 else weights[place] for place in places]
    return found + [0.0] * ((feature.max_length or 1) - len(found))


def _series(form: str, cells: list[Any], name: str, kind: pa.DataType) -> pd.Series:
    if form == "arrow":
        made = pa.array(cells, pa.list_(kind))
        return pd.Series(pd.arrays.ArrowExtensionArray(made), name=name)
    column = pd.Series([None] * len(cells), dtype=object, name=name)
    for row, cell in enumerate(cells):
        column.iat[row] = cell
    return column


def _cell(rng: np.random.Generator, form: str, feature: Feature, entries: list[Any]) -> Any:
    if not entries and form != "one value":
        return one_of(rng, (None, "", " ") if form == "text" else (None, []))
    if form == "mixed":
        form = one_of(rng, ("lists", "tuples", "arrays", "text", "mixed entries"))
    if form == "tuples":
        return tuple(entries)
    if form == "arrays":
        made = np.empty(len(entries), object)
        made[:] = entries
        whole = feature.dtype == "int64" and None not in entries
        return made.astype("int64") if whole else made
    if form == "text":
        return (feature.separator or ",").join(_piece(rng, entry) for entry in entries)
    if form == "one value":
        return entries[0] if entries else None
    if form == "mixed entries":
        one: Callable[..., Any] = spellings.mixed_text
        if feature.dtype == "int64":
            one = spellings.mixed_integer
        return [one(rng, entry) for entry in entries]
    return list(entries)


def _piece(rng: np.random.Generator, entry: Any) -> str:
    text = "" if entry is None else f"{entry}"
    return one_of(rng, (text, f" {text}", f"{text} "))


def _weight_cell(rng: np.random.Generator, form: str, feature: Feature, weights: list[Any]) -> Any:
    if form == "one value":
        return weights[0] if weights else None
    if not weights:
        return one_of(rng, (None, "", " ") if form == "text" else (None, []))
    if form == "text" or (form == "mixed" and rng.random() < 0.5):
        pieces = ["" if weight is None else f"{weight}" for weight in weights]
        return (feature.separator or ",").join(pieces)
    if form == "mixed":
        return [math.nan if w is None else one_of(rng, (w, f"{w}", np.float32(w))) for w in weights]
    return list(weights)
