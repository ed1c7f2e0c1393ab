"""History that a schema could have, proposed where user, item and time were found."""

from __future__ import annotations

from typing import Any

from pipelines.schema_inference.proposal import Proposal

_WINDOWS = ["1d", "7d", "all"]


def proposed_history(proposal: Proposal) -> dict[str, Any]:
    """Returns the keys `history` and `sequences`; nothing where the table cannot have them.

    Counts and rates of the user and of the item, counts of the user with the first other
    categorical item feature (a category, a shop), and the user's last clicks.
    """
    user, item = proposal.user_key, proposal.item_key
    keys = [g.entry for g in proposal.guesses if g.entry is not None and _is_key(g.entry)]
    names = [entry["name"] for entry in keys]
    if user not in names or item not in names or "exposure_time" not in proposal.labels:
        return {}
    others = [e["name"] for e in keys if e["side"] == "item" and e["name"] != item][:1]
    events = ["exposure", "click", "conversion"]
    measures = ["count", "rate"]
    aggregates: list[dict[str, Any]] = [
        {"key": key, "events": events, "measures": measures, "windows": _WINDOWS}
        for key in (user, item)
    ]
    aggregates += [
        {"key": [user, other], "events": events[1:], "measures": ["count", "hours_since"]}
        for other in others
    ]
    clicks = {
        "name": "clicks",
        "key": user,
        "condition": "clicked",
        "items": [item, *others],
        "length": 50,
        "gap_hours": [1, 24, 168],
    }
    return {"history": {"burn_in_days": 2, "aggregates": aggregates}, "sequences": [clicks]}


def _is_key(entry: dict[str, Any]) -> bool:
    """Whether a feature can be a key or an item: categorical, one value a row."""
    listed = entry.get("max_length") is not None
    return not listed and entry["kind"] not in ("numeric", "bucketized")
