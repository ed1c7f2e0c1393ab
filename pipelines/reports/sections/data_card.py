"""Section: the data that the run was trained on, from its data card."""

from __future__ import annotations

from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, percent, table

_COUNTS = ("rows", "clicks", "conversions", "probes", "oracle_conversions")
_RATES = ("ctr", "cvr", "ctcvr", "oracle_cvr")
_NAMES = {
    "conversions": "conversions after a click",
    "probes": "conversions without a click",
    "oracle_conversions": "potential conversions",
    "ctr": "click rate",
    "cvr": "conversion rate of clicks",
    "ctcvr": "conversion rate of exposures",
    "oracle_cvr": "potential conversion rate",
}


def section(material: Material) -> Section:
    """Counts of every part, and what is known of every feature."""
    found = Section("data", "Data card")
    card = material.main.card
    if not card:
        found.note("The run holds no data card.")
        return found
    about = card.get("description")
    found.text(f"{card.get('dataset', '')}{f': {about}' if about else ''}.")
    parts = card["splits"]
    names = [n for n in (*_COUNTS, *_RATES) if any(n in part for part in parts.values())]
    rows: list[list[Content]] = []
    for part, counts in parts.items():
        cells: list[Content] = [Cell(part, small=_span(card["days"].get(part, "")))]
        for name in names:
            value = counts.get(name)
            shown = percent(value) if name in _RATES else f"{value or 0:,}"
            cells.append(
                Cell(shown, None if value is None else float(value), f"card/{part}/{name}")
            )
        rows.append(cells)
    found.table("Exposures by part", ["part", *(_NAMES.get(n, n) for n in names)], rows)
    if any(part.get("probes") for part in parts.values()):
        found.note(
            "A conversion without a click is one that was recorded although no click was counted. "
            "It is kept out of training and shown in reports; it is not the conversion that a "
            "click would have brought."
        )
    found.folded(f"All {len(card['features'])} features", _features(material))
    notes = card.get("checks", {}).get("notes", [])
    facts = [f"{card['checks']['rules_checked']} rules of the schema checked"] if notes else []
    for note in (*facts, *notes):
        found.text(f"{note}.")
    return found


def _span(days: str) -> str:
    """Writes "2022-04-25..2022-05-02" so that no line breaks within a day."""
    return days.replace("..", " to ").replace("-", "\u2011")


def _features(material: Material) -> str:
    card, schema = material.main.card, material.main.schema
    parts = list(card["splits"])
    rows: list[list[Content]] = []
    for feature in schema.ordered:
        entry = card["features"].get(feature.name, {})
        unknown = entry.get("out_of_vocabulary", {})
        missing = entry.get("missing", {})
        top = entry.get("top", [])
        shown = ", ".join(f"{t['value']} ({t['share']:.1%})" for t in top[:3])
        if not shown and "mean" in entry:
            least, greatest = (_plain(entry.get(end)) for end in ("least", "greatest"))
            shown = f"mean {_plain(entry['mean'])}, {least} to {greatest}"
        rows.append(
            [
                feature.name,
                feature.side,
                feature.kind,
                Cell(f"{entry['distinct']:,}") if "distinct" in entry else "",
                Cell(f"{entry['vocabulary_size']:,}") if "vocabulary_size" in entry else "",
                *(percent(unknown.get(p), 1) if unknown else "" for p in parts),
                percent(missing.get(parts[0]), 1) if missing else "",
                shown,
            ]
        )
    columns = ["feature", "side", "kind", "values in train", "vocabulary"]
    columns += [f"unknown, {part}" for part in parts]
    return table("Features", [*columns, f"missing, {parts[0]}", "most frequent"], rows)


def _plain(value: float | None) -> str:
    """Four digits are enough to know a feature by."""
    return "-" if value is None else f"{value:.4g}"
