"""History that requests hold: whether they do, and sequences, whose lists stand side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

#: The signature that is asked where no other is named.
DEFAULT = "serving_default"
#: The signature that takes history, whether the version looks it up for others or not.
WITH_HISTORY = "serving_with_history"


def side_by_side(
    names: Sequence[str], row: int, parts: Sequence[list[Any]], fills: Sequence[Any]
) -> list[list[Any]]:
    """Returns the lists of one row's events; an event that lacks a part is left out whole.

    Args:
        names: of the parts, for errors.
        row: its number, for errors.
        parts: converted entries of each part, None where one is absent.
        fills: what pads each part: an entry equal to it is absent.

    Raises:
        ValueError: if the lists differ in length.
    """
    first = len(parts[0])
    for name, entries in zip(names, parts, strict=True):
        if len(entries) != first:
            raise ValueError(
                f"{name}: must hold one entry for each event, as {names[0]} does, received "
                f"{len(entries)} beside {first} in row {row};\nsend every part of an event, or "
                "leave all lists of the sequence empty"
            )
    events = [
        event
        for event in zip(*parts, strict=True)
        if not any(entry is None or entry == fill for entry, fill in zip(event, fills, strict=True))
    ]
    return [[event[i] for event in events] for i in range(len(parts))]


def holds_history(generated: Set[str], rows: Any) -> bool:
    """Whether rows hold any of the generated features, by the first of them."""
    if hasattr(rows, "columns"):
        return not generated.isdisjoint(rows.columns)
    first = rows if isinstance(rows, Mapping) else next(iter(rows), {})
    return isinstance(first, Mapping) and not generated.isdisjoint(first)
