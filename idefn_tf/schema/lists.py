"""What a list cell means, the same behind every door.

* Text is split at the feature's separator (a comma where it names none) and pieces are trimmed;
  blank text, like a null, is an empty list. A list is taken as it is.
* An absent entry (a blank piece, a null, NaN, or the padding) is dropped together with the weight
  at its place. Entries and weights of different number are an error; so is an entry whose weight is
  no finite number.
* The lists of a sequence stand side by side: an event that lacks a part is left out whole, and
  lists of different length are an error.
* What is left is cut to its first `max_length` entries, a part of a sequence to its last, which are
  the newest events. An empty list of a feature with `missing` is that one value
  with weight 1; without `missing` it stays empty and gives the zero vector.

`idefn_tf.data.list_columns` says this to Arrow and NumPy, `idefn_tf.data.list_tensors` to
TensorFlow,
`pipelines.preparation.encode` to Ibis; this module itself reads one row, as the client does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from idefn_tf.schema.cells import BLANKS

if TYPE_CHECKING:
    from idefn_tf.schema.feature import Feature

#: What separates the entries of text where the feature names nothing.
SEPARATOR = ","
#: What fills a list up to its length: an absent entry, by dtype.
PADDING: dict[str, int | float | str] = {"int64": -1, "float32": 0.0, "string": ""}


def separator_of(feature: Feature) -> str:
    """Returns what separates the entries of a feature, and their weights, in text."""
    return feature.separator or SEPARATOR


def stand_in(feature: Feature) -> Any:
    """Returns the entry that stands for an empty list, or None where it stays empty."""
    return None if feature.missing == PADDING[feature.dtype] else feature.missing


def split(text: str, separator: str | None) -> list[str]:
    """Splits text into trimmed pieces, blank ones among them; blank text has none."""
    text = text.strip(BLANKS)
    if not text:
        return []
    return [piece.strip(BLANKS) for piece in text.split(separator)] if separator else [text]


def read(
    names: tuple[str, str],
    row: int,
    entries: Sequence[Any],
    weights: Sequence[float | None] | None,
    padding: Any,
    missing: Any = None,
) -> tuple[list[Any], list[float] | None]:
    """Reads one row's list: what is absent is dropped, an empty list is filled.

    Args:
        names: of the list and of its weights, for errors.
        row: its number, for errors.
        entries: converted entries, None where absent.
        weights: one a place, or None for a list without weights.
        padding: an entry equal to it is absent.
        missing: stands for an empty list; None leaves it empty.

    Raises:
        ValueError: if entries and weights differ in number, or the weight of an entry is no finite
            number.
    """
    if weights is not None and len(weights) != len(entries):
        raise ValueError(unequal(names, row, entries, weights))
    places = [i for i, entry in enumerate(entries) if entry is not None and entry != padding]
    found = [entries[i] for i in places]
    chosen: list[float] | None = None
    if weights is not None:
        chosen = []
        for i in places:
            weight = weights[i]
            if weight is None or not math.isfinite(weight):
                raise ValueError(unweighted(names, row, entries, weights))
            chosen.append(weight)
    if not found and missing is not None:
        return [missing], None if weights is None else [1.0]
    return found, chosen


def unequal(names: tuple[str, str], row: int, entries: Any, weights: Any) -> str:
    """Returns the error of a list whose weights are more or fewer than its entries."""
    return (
        f"{names[1]}: must hold one weight for each entry of {names[0]}, received {weights!r} for "
        f"{entries!r} in row {row}; a place left blank in one is left blank in the other."
    )


def unweighted(names: tuple[str, str], row: int, entries: Any, weights: Any) -> str:
    """Returns the error of an entry whose weight is no finite number."""
    return (
        f"{names[1]}: every weight of an entry of {names[0]} must be a finite number, received "
        f"{weights!r} for {entries!r} in row {row}; give the weight, or leave out the entry."
    )


def uneven(names: tuple[str, str]) -> tuple[str, str]:
    """Returns rule and cure for a part of a sequence with more or fewer entries than the first."""
    return (
        f"{names[1]!r} must hold one entry for each event, as {names[0]!r} does",
        "send every part of an event, or leave all lists of the sequence empty",
    )
