"""A request's inputs as the session is fed with them: like inputs in one array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np


class StackedArrays(Mapping[str, np.ndarray]):
    """Inputs by name that are already stacked; all have one number of rows, of fitting shapes.

    Args:
        groups: The names, as `Signature.groups` has them.
        feeds: One array a group: [rows, ...] of a single name, else [names, rows, ...].
        rows: How many rows each input has.
    """

    def __init__(
        self, groups: Sequence[tuple[str, ...]], feeds: Sequence[np.ndarray], rows: int
    ) -> None:
        self.groups, self.feeds, self.rows = groups, feeds, rows

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of a row, group by group."""
        return tuple(
            [
                feed.shape[2:] if len(names) > 1 else feed.shape[1:]
                for names, feed in zip(self.groups, self.feeds, strict=True)
            ]
        )

    def part(self, start: int, end: int) -> StackedArrays:
        """The rows from one number on, up to another."""
        feeds = [
            feed[:, start:end] if len(names) > 1 else feed[start:end]
            for names, feed in zip(self.groups, self.feeds, strict=True)
        ]
        return StackedArrays(self.groups, feeds, end - start)

    @classmethod
    def joined(cls, batch: Sequence[StackedArrays]) -> Sequence[np.ndarray]:
        """The feeds of several requests, their rows one after the other."""
        if len(batch) == 1:
            return batch[0].feeds
        return [
            np.concatenate([arrays.feeds[i] for arrays in batch], axis=int(len(names) > 1))
            for i, names in enumerate(batch[0].groups)
        ]

    def __getitem__(self, name: str) -> np.ndarray:
        for names, feed in zip(self.groups, self.feeds, strict=True):
            if name in names:
                return feed[names.index(name)] if len(names) > 1 else feed
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for names in self.groups for name in names)

    def __len__(self) -> int:
        return sum(map(len, self.groups))
