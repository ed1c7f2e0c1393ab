"""Section: how much history the rows see, and how the model fares by the amount of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from idefn_tf.evaluation.resampling import resample_ways
from idefn_tf.metrics import exact_metrics
from idefn_tf.schema import Schema
from pipelines.reports.intervals import Ranked, interval, replicates_for
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, percent
from pipelines.reports.rows import Rows


def section(material: Material) -> Section | None:
    """Coverage from the data card, AUC and PCOC by the number of past events.

    Returns:
        None where the run has no history.
    """
    schema = material.main.schema
    if not schema.generated:
        return None
    found = Section("history", "History")
    card = material.main.card.get("history", {})
    if card:
        _coverage(found, card)
    else:
        found.note("The run's data card does not say how much history its rows see.")
    rows = material.rows
    if rows is None:
        found.note("AUC by number of past events needs the prepared data: give --data.")
        return found
    counted = counts(schema, rows)
    if counted is None:
        found.note("The schema has no count and no sequence to tell rows with history from others.")
        return found
    name, values = counted
    lines = [_line(material, rows, words, mask) for words, mask in bins(values)]
    found.table(f"CVR on all_funnel by {name}, {material.part}", _COLUMNS, lines)
    found.note(
        "One line for rows without a past event, then deciles of the others. CVR AUC: order of "
        "the line's own rows, all_funnel; its small print is a 95 % interval. PCOC: predicted over "
        "observed conversions, 1 is right. Rows late in the log saw more history than the first "
        "training rows did, so PCOC may drift along the lines; calibrate on validation days."
    )
    return found


_COLUMNS = ("past events", "rows", "conversions", "CVR AUC", "PCOC, all_funnel")


def _coverage(found: Section, card: dict[str, Any]) -> None:
    when = f"known at {card['known_at']}" if "known_at" in card else f"refresh {card['refresh']}"
    found.text(
        f"{card['events']:,} past exposures, {when}, conversions counted {card['conversion']}."
    )
    entries = {
        **{f"events of {key}": entry for key, entry in card.get("keys", {}).items()},
        **{f"sequence {name}": entry for name, entry in card.get("sequences", {}).items()},
    }
    parts = list(dict.fromkeys(part for entry in entries.values() for part in entry["parts"]))
    lines: list[list[Content]] = []
    for name, entry in entries.items():
        for part in parts:
            seen = entry["parts"].get(part)
            if seen is not None:
                low, middle, high = seen["events_per_row"]
                share = seen["without_history"]
                lines.append(
                    [
                        f"{name}, {part}",
                        Cell(percent(share, 1), share, f"history/{name}/{part}/without"),
                        *(Cell(f"{v:g}", v) for v in (low, middle, high)),
                        *(
                            Cell(percent(entry.get(key), 1), entry.get(key))
                            for key in _SHARES
                        ),
                    ]
                )  # fmt: skip
    columns = ("history", "without", "10\u00a0%", "median", "90\u00a0%", "hidden", "open", "cut")
    found.table("How much history the rows see", columns, lines)
    found.note(
        "Without: share of rows that see no event. 10 %, median, 90 %: of the number of events a "
        "row sees. Hidden: share of events before the row that lag and refresh hide. Open: share "
        "of seen exposures whose conversion is not final. Cut: share of rows with more events than "
        "the sequence's length, of which the newest are kept."
    )


_SHARES = ("hidden_by_lag_and_refresh", "open_conversions", "longer_than_length")


def counts(schema: Schema, rows: Rows) -> tuple[str, NDArray] | None:
    """Returns the first count of the schema on every row, or the length of its first sequence."""
    for aggregate in schema.past.aggregates:
        for column in aggregate.columns:
            if column.measure == "count":
                return column.name, np.asarray(rows.table[column.name], np.float64)
    for sequence in schema.sequences:
        lengths = pc.list_value_length(rows.table[sequence.names[0]])
        return f"events in {sequence.name}", np.asarray(lengths, np.float64)
    return None


def bins(values: NDArray) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yields the rows without an event, and deciles of the others, in words and as a mask."""
    if (values == 0).any():
        yield "none", values == 0
    some = values[values > 0]
    if not some.size:
        return
    cuts = np.unique(np.quantile(some, np.arange(0.1, 1.0, 0.1), method="higher"))
    edges = np.unique([some.min(), *cuts, np.inf])
    for low, high in pairwise(edges):
        mask = (values >= low) & (values < high)
        top = values[mask].max()
        yield (f"{low:g}" if top == low else f"{low:g} to {top:g}"), mask


def _line(material: Material, rows: Rows, words: str, mask: NDArray[np.bool_]) -> list[Content]:
    label = np.asarray(rows.columns["click"] * rows.columns["conversion"], np.float64)[mask]
    score = np.asarray(material.main.scores["cvr"], np.float64)[mask]
    weight = np.asarray(rows.weight, np.float64)[mask]
    positives = int(label.sum())
    start: list[Content] = [
        words,
        Cell(f"{int(mask.sum()):,}", float(mask.sum()), f"history/{words}/rows"),
        Cell(f"{positives:,}", float(positives)),
    ]
    if not 0 < positives < mask.sum():
        return [*start, "-", "-"]
    users = None if rows.users is None else rows.users[mask]
    ranked = Ranked(label, score)
    items = None if rows.items is None else rows.items[mask]
    drawn: list[list[float]] = [[], [], []]
    count = replicates_for(len(rows))
    for way, _, w in resample_ways(users, items, len(label), count, material.seed):
        drawn[way].append(ranked.auc_ks(w * weight)[0])
    bounds = interval(np.array([way for way in drawn if way]))
    auc = exact_metrics.auc(label, score, weight)
    pcoc = exact_metrics.pcoc(label, score, weight)
    small = f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else ""
    return [
        *start,
        Cell(f"{auc:.4f}", auc, f"history/{words}/cvr_auc", small),
        Cell(f"{pcoc:.4f}", pcoc, f"history/{words}/pcoc"),
    ]
