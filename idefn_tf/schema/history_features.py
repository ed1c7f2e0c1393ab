"""Generated features: what history and sequences add to the recorded ones.

Every other part of the library meets them as ordinary features. An aggregate is a number; a
sequence is a list for each item feature, which shares that feature's table, and one of gap buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from idefn_tf.schema.feature import Feature
from idefn_tf.schema.history import BehaviourSequence, History, HistoryAggregate

#: A number that is absent from a request: no event, or, with None, the mean of training.
_ABSENT: dict[str, float | None] = {"count": 0.0, "sum": 0.0, "rate": None, "hours_since": None}


def generated(
    history: History | None,
    sequences: tuple[BehaviourSequence, ...],
    recorded: tuple[Feature, ...],
) -> tuple[Feature, ...]:
    """Returns the features that history and sequences of a checked schema make.

    Args:
        history: of the schema.
        sequences: of the schema.
        recorded: the features that the schema lists.
    """
    by_name = {feature.name: feature for feature in recorded}
    made: list[Feature] = []
    for aggregate in history.aggregates if history else ():
        made += _of_aggregate(aggregate, by_name)
    for sequence in sequences:
        made += _of_sequence(sequence, by_name)
    return tuple(made)


def of_other_windows(history: History | None, windows: Sequence[str]) -> set[str]:
    """Returns the aggregates' columns that look further back, or less far, than some windows.

    Args:
        history: of a schema.
        windows: those that are kept; `hours_since` has none and always stays.

    Raises:
        ValueError: if no aggregate has such a window.
    """
    columns = [c for a in (history.aggregates if history else ()) for c in a.columns]
    known = sorted({column.window for column in columns if column.measure != "hours_since"})
    for window in windows:
        if window not in known:
            raise ValueError(
                f"windows: must be of those of the schema's aggregates, {known}, received "
                f"{window!r}; prepare the data with it under history.aggregates"
            )
    return {
        column.name
        for column in columns
        if column.measure != "hours_since" and column.window not in windows
    }


def _of_aggregate(aggregate: HistoryAggregate, by_name: dict[str, Feature]) -> list[Feature]:
    side = by_name[aggregate.keys[0]].side if len(aggregate.keys) == 1 else "context"
    return [
        Feature(
            name=column.name,
            dtype="float32",
            side=side,
            kind="numeric",
            log1p=column.measure != "rate",
            missing=_ABSENT[column.measure],
        )
        for column in aggregate.columns
    ]


def _of_sequence(sequence: BehaviourSequence, by_name: dict[str, Feature]) -> list[Feature]:
    common: dict[str, Any] = {
        "side": by_name[sequence.key].side,
        "max_length": sequence.length,
    }
    made = []
    for name in sequence.items:
        item = by_name[name]
        owner = item.tied_to or item.name
        made.append(
            Feature(
                name=f"{sequence.name}__{name}",
                dtype=item.dtype,
                kind=item.kind,
                tied_to=owner,
                **common,
            )
        )
    if sequence.gap_hours:
        made.append(
            Feature(
                name=sequence.gap,
                dtype="int64",
                kind="identity",
                num_buckets=len(sequence.gap_hours) + 1,
                **common,
            )
        )
    return made
