"""Behaviour sequences in requests: lists that stand side by side, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


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
