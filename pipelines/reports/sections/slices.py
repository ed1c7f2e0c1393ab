"""Section: the slices of the data on which the model does worst."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from idefn_tf.evaluation.resampling import resample_ways
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.metrics import exact_metrics
from idefn_tf.schema import Feature
from pipelines.reports.intervals import Ranked, interval, replicates_for
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section

#: A slice needs this many positives and clicks to be looked at.
POSITIVES, ROWS = 20, 200
#: Values of a feature that are looked at, most frequent first.
VALUES = 30
SHOWN = 10


@dataclass(frozen=True)
class Slice:
    """Rows with one value of one feature."""

    feature: str
    value: str
    mask: NDArray[np.bool_]
    auc: float
    pcoc: float
    positives: int


def section(material: Material) -> Section:
    """The slices with the lowest AUC, and those furthest from calibration among clicks."""
    found = Section("slices", "Worst slices")
    if material.rows is None:
        found.note("Needs the prepared data: give --data.")
        return found
    looked = list(find_slices(material))
    everyone = material.main.metrics[material.part]["all_funnel"].get("cvr_auc")
    if not looked or everyone is None:
        found.note(
            f"No slice of {material.part} holds {POSITIVES} conversions and {ROWS} rows; there is "
            "nothing to compare."
        )
        return found
    found.text(
        f"{len(looked)} slices of {material.part} were looked at: every value of a feature with at "
        f"least {ROWS} rows and {POSITIVES} conversions after a click. CVR AUC is on all_funnel "
        f"({everyone:.4f} over all rows), PCOC on the clicked rows of the slice."
    )
    found.note(
        "The worst of many slices look bad partly by chance: read the interval, and expect some of "
        "it to go away on other data."
    )
    worst = sorted(looked, key=lambda s: s.auc)[:SHOWN]
    found.table("Lowest CVR AUC", _COLUMNS, [_line(material, s) for s in worst])
    known = [s for s in looked if np.isfinite(s.pcoc) and s.pcoc > 0]
    off = sorted(known, key=lambda s: -abs(np.log(s.pcoc)))[:SHOWN]
    found.table(
        "Furthest from calibration among clicks", _COLUMNS, [_line(material, s) for s in off]
    )
    return found


#: Below so many users in a slice, its interval is over rows.
FEWEST_USERS = 10
_COLUMNS = ("slice", "rows", "conversions", "CVR AUC", "PCOC, clicked")


def find_slices(material: Material) -> Iterator[Slice]:
    """Yields every slice that is large enough."""
    rows = material.rows
    if rows is None:
        return
    click = np.asarray(rows.columns["click"], np.float64)
    label = click * np.asarray(rows.columns["conversion"], np.float64)
    score = np.asarray(material.main.scores["cvr"], np.float64)
    vocabularies = read_vocabularies(material.main.run.vocabularies)
    for feature in material.main.schema.ordered:
        for value, mask in _values(feature, rows.table, vocabularies):
            positives = int(label[mask].sum())
            if positives < POSITIVES or mask.sum() < ROWS or mask.all():
                continue
            w = rows.weight
            clicked = mask & (click > 0.5)
            yield Slice(
                feature.name,
                value,
                mask,
                exact_metrics.auc(label[mask], score[mask], w[mask]),
                exact_metrics.pcoc(label[clicked], score[clicked], w[clicked]),
                positives,
            )


def _values(
    feature: Feature, table: pa.Table, vocabularies: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yields values of a feature with their rows: words, ranges, known and unknown ids."""
    column = table[feature.name].combine_chunks()
    if feature.multi_valued:
        return
    if feature.kind in ("numeric", "bucketized"):
        numbers = np.asarray(column.cast(pa.float64()))
        yield from _ranges(feature, numbers)
        return
    counted = sorted(pc.value_counts(column).to_pylist(), key=lambda e: -e["counts"])
    for entry in counted[:VALUES]:
        if entry["counts"] >= ROWS:
            yield str(entry["values"]), np.asarray(pc.equal(column, entry["values"]))
    learned = vocabularies.get(feature.tied_to or feature.name, {})
    if learned.get("kind") == "vocabulary" and len(counted) > VALUES:
        known = np.asarray(pc.is_in(column, pa.array(learned["values"], column.type)))
        yield "unseen in train", ~known
        yield "seen in train", known


def _ranges(feature: Feature, numbers: NDArray) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    there = numbers[np.isfinite(numbers)]
    if len(there) < len(numbers):
        yield "missing", ~np.isfinite(numbers)
    if not len(there):
        return
    cuts = feature.boundaries or np.unique(np.quantile(there, [0.25, 0.5, 0.75]))
    edges = [-np.inf, *cuts, np.inf]
    for low, high in pairwise(edges):
        mask = (numbers >= low) & (numbers < high)
        left = "below" if np.isinf(low) else f"{low:g} to below"
        yield (f"{left} {high:g}" if np.isfinite(high) else f"{low:g} and more"), mask


def _line(material: Material, found: Slice) -> list[Content]:
    rows = material.rows
    if rows is None:
        raise ValueError("data: slices need rows; give --data")
    mask = found.mask
    label = np.asarray(rows.columns["click"] * rows.columns["conversion"], np.float64)[mask]
    clicked = np.asarray(rows.columns["click"])[mask] > 0.5
    score = np.asarray(material.main.scores["cvr"], np.float64)[mask]
    users = None if rows.users is None else rows.users[mask]
    if users is not None and len(np.unique(users)) < FEWEST_USERS:
        users = None  # one user's rows (user_id: 7) cannot be drawn by user; rows are
    items = None if rows.items is None else rows.items[mask]
    ranked = Ranked(label, score)
    auc: list[list[float]] = [[], [], []]
    pcoc: list[list[float]] = [[], [], []]
    count = replicates_for(len(rows))
    for way, _, weight in resample_ways(users, items, len(label), count, material.seed):
        weight *= rows.weight[mask]
        auc[way].append(ranked.auc_ks(weight)[0])
        observed = np.dot(weight[clicked], label[clicked])
        predicted = np.dot(weight[clicked], score[clicked])
        pcoc[way].append(predicted / observed if observed else np.nan)
    return [
        f"{found.feature}: {found.value}",
        Cell(f"{int(mask.sum()):,}", float(mask.sum())),
        Cell(f"{found.positives:,}", float(found.positives)),
        _bounded(found.auc, np.array([way for way in auc if way])),
        _bounded(found.pcoc, np.array([way for way in pcoc if way])),
    ]


def _bounded(value: float, draws: NDArray) -> Cell:
    bounds = interval(draws)
    small = f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else ""
    return Cell(f"{value:.4f}", value, small=small)
