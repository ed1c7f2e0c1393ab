"""Whose column is it: the user's, the item's, or the exposure's own?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from idefn_tf.schema import Side
from pipelines.schema_inference.profile import Profile

_USER_KEY = re.compile(
    r"^(user|member|customer|visitor|uid|userid|buyer|device|account|client)(_?(id|key|no))?$",
    re.IGNORECASE,
)
_ITEM_KEY = re.compile(
    r"^(item|product|sku|video|article|ad|creative|goods|offer|content|listing|movie|song)"
    r"(_?(id|key|no))?$",
    re.IGNORECASE,
)
_USER_WORDS = re.compile(
    r"^(user|member|customer|visitor|buyer|device|account)_|(^|_)(age|gender|sex|income)(_|$)",
    re.IGNORECASE,
)
_ITEM_WORDS = re.compile(
    r"^(item|product|sku|video|article|ad|creative|goods|offer|content|listing|shop|seller|brand)_"
    r"|(^|_)(price|brand|category|author|publisher|campaign|shop|seller)(_|$)",
    re.IGNORECASE,
)
#: A column belongs to a key where so many of its repeated values have one value of the column.
_SHARE = 0.98
#: Keys with more than one row that are needed to say so.
_REPEATED = 50


@dataclass(frozen=True)
class Keys:
    """The columns that identify users and items, where they were found."""

    user: Profile | None
    item: Profile | None


def find_keys(columns: Sequence[Profile], user: str | None = None, item: str | None = None) -> Keys:
    """Finds the user's and the item's key by name.

    Args:
        columns: the candidates.
        user: the user's column, where it is known.
        item: the item's column, where it is known.

    Raises:
        ValueError: if `user` or `item` is no candidate, or both are one column.
    """
    named = {column.name: column for column in columns}
    for option, given in (("--user", user), ("--item", item)):
        if given is not None and given not in named:
            raise ValueError(
                f"{option}: {given!r} must be a column that may be a feature; it is a label, a "
                "time, or known only after the exposure"
            )
    if user is not None and user == item:
        raise ValueError(f"--item: must be another column than --user, received {item!r}")
    free = [column for column in columns if column.name not in (user, item)]
    return Keys(
        named[user] if user is not None else _most_distinct(free, _USER_KEY),
        named[item] if item is not None else _most_distinct(free, _ITEM_KEY),
    )


def find_side(column: Profile, keys: Keys) -> tuple[Side, str]:
    """Says whose a column is, and why.

    Args:
        column: the column.
        keys: of users and items.

    Returns:
        The side and the reason.
    """
    if keys.user is not None and column.name == keys.user.name:
        return "user", "identifies the user"
    if keys.item is not None and column.name == keys.item.name:
        return "item", "identifies the item"
    if column.type not in ("list", "other"):
        shares = {}
        for side, key in (("user", keys.user), ("item", keys.item)):
            share = None if key is None else constancy(key, column)
            if share is not None and share >= _SHARE:
                shares[side] = share
        if shares:
            side = max(shares, key=lambda s: shares[s])
            key = keys.user if side == "user" else keys.item
            name = key.name if key is not None else ""
            return _side(side), f"one value for {shares[side]:.0%} of {name}"
    for side, words in (("user", _USER_WORDS), ("item", _ITEM_WORDS)):
        if words.search(_plain(column.name)):
            return _side(side), "by its name"
    return "context", "changes within users and items"


def constancy(key: Profile, column: Profile) -> float | None:
    """Returns the share of repeated keys under which the column has one value only.

    Args:
        key: a column of keys.
        column: another column of the same rows.

    Returns:
        The share, or None where too few keys repeat, or the column has one value anyway.
    """
    there = (key.codes >= 0) & (column.codes >= 0)
    if column.distinct < 2:
        return None
    keys, values = key.codes[there], column.codes[there]
    if not keys.size:
        return None
    count = int(keys.max()) + 1
    rows = np.bincount(keys, minlength=count)
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.full(count, -1)
    np.minimum.at(low, keys, values)
    np.maximum.at(high, keys, values)
    repeated = rows > 1
    if repeated.sum() < _REPEATED:
        return None
    return float((low == high)[repeated].mean())


def _most_distinct(columns: Sequence[Profile], pattern: re.Pattern[str]) -> Profile | None:
    found = [
        column
        for column in columns
        if pattern.match(_plain(column.name)) and column.type in ("integer", "text")
    ]
    return max(found, key=lambda column: column.distinct, default=None)


def _plain(name: str) -> str:
    """A name's words joined by underscores: "User ID" and "user-id" are user_id."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")


def _side(name: str) -> Side:
    return "user" if name == "user" else "item"
