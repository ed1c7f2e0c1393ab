"""Reads ahead in a thread: the next items are made while the last ones are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_END = object()


def read_ahead(items: Iterable[_T], number: int) -> Generator[_T, None, None]:
    """Yields items in order while a thread makes up to `number` more of them.

    An error of `items` is raised where its item would have come. A reader that stops early waits
    for the item under way.

    Args:
        items: made in the thread, one after the other.
        number: how many wait at most.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(1, "read-ahead")
    try:
        waiting = deque(pool.submit(next, source, _END) for _ in range(number))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, source, _END))
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(cancel_futures=True)
