"""Cluster bootstrap over users and items: what rows weigh in each draw, and how wide draws are.

Exposures of one user are no independent draws, and neither are those of one item. Draws over users
alone give intervals that are too narrow where a scorer knows items.

Formula (two-way clustered variance)::

    V = V(users) + V(items) - V(pairs),  at least the larger of the first two

A pair is a user with an item: rows of one pair go together in both of the first draws, so their
share is counted twice and taken off once. Draws that weigh a row by its user's count times its
item's count (the pigeonhole bootstrap) count a pair's own noise three times instead: where single
conversions are most of the noise, as in a log of few conversions a user, their intervals are 1.7
times too wide.

Source: Cameron, Gelbach and Miller, Robust Inference With Multiway Clustering, 2011; Owen, The
Pigeonhole Bootstrap, 2007, Theorem 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from idefn_tf.schema import Schema

Floats = NDArray[np.float64]

#: Draws over items and over pairs tell a variance alone: they may be fewer than those over users.
WAYS = ("users", "items", "pairs")


def find_items(schema: Schema, arrays: Mapping[str, NDArray]) -> str | None:
    """Returns the feature that tells items apart, or None where none does.

    That is the item side's recorded categorical feature of one value a row, with most values among
    these rows.

    Args:
        schema: of the rows.
        arrays: their columns, as `idefn_tf.data.to_arrays` gives them.
    """
    of_items = [f.name for f in schema.recorded if f.side == "item" and f.kind != "numeric"]
    flat = [name for name in of_items if name in arrays and arrays[name].ndim == 1]
    return max(flat, key=lambda name: len(pd.unique(arrays[name])), default=None)


def resample(clusters: NDArray | None, rows: int, replicates: int, seed: int) -> Iterator[Floats]:
    """Yields the weight of every row in each draw: how often its cluster was drawn.

    Args:
        clusters: the cluster of each row, such as its user, or None to draw rows.
        rows: number of rows.
        replicates: number of draws.
        seed: equal seeds give equal draws, so that models can be compared draw by draw.
    """
    if clusters is None:
        owner = np.arange(rows)
    else:
        owner = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    count = int(owner.max()) + 1 if rows else 0
    for drawn in draw_counts(count, replicates, seed):
        yield drawn[owner].astype(np.float64)


def draw_counts(clusters: int, replicates: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yields how often each cluster is drawn, as many draws with replacement as there are."""
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.bincount(rng.integers(0, clusters, clusters), minlength=clusters)


def resample_ways(
    users: NDArray | None, items: NDArray | None, rows: int, replicates: int, seed: int
) -> Iterator[tuple[int, int, Floats]]:
    """Yields (way, draw, weights of the rows), over users and, where items are told, `WAYS`.

    Args:
        users: the user of each row, or None to draw rows alone.
        items: the item of each row, or None to draw users alone.
        rows: number of rows.
        replicates: draws of each way.
        seed: of the draws.
    """
    ways = [users]
    if users is not None and items is not None:
        ways += [items, pair_ids(users, items)]
    for way, clusters in enumerate(ways):
        for i, weight in enumerate(resample(clusters, rows, replicates, seed + way)):
            yield way, i, weight


def pair_ids(users: NDArray, items: NDArray) -> NDArray[np.int64]:
    """Returns a number for each distinct pair of user and item, [rows]."""
    user = np.unique(users, return_inverse=True)[1].reshape(-1).astype(np.int64)
    distinct, item = np.unique(items, return_inverse=True)
    pairs: NDArray[np.int64] = user * len(distinct) + item.reshape(-1)
    return pairs


def two_way_variance(draws: NDArray) -> float:
    """Returns the variance of a statistic over users and items.

    Args:
        draws: its values in draws of `WAYS`, [3, draws], or of one way, [1, draws]; nan where it
            is not defined.

    Returns:
        The variance of the formula above; of one way, that of its draws. 0 without a finite value.
    """
    values = [row[np.isfinite(row)] for row in np.atleast_2d(draws)]
    parts = [float(np.var(row)) if row.size else 0.0 for row in values]
    if len(parts) == 1:
        return parts[0]
    users, items, pairs = parts
    return max(users, items, users + items - pairs)


def widened(draws: NDArray) -> Floats:
    """Returns the finite draws over users, as far from their median as users and items say.

    Args:
        draws: as `two_way_variance` takes them.
    """
    table = np.atleast_2d(draws)
    values: Floats = table[0][np.isfinite(table[0])]
    own = float(np.var(values)) if values.size else 0.0
    if len(table) == 1 or own == 0.0:
        return values
    middle = np.median(values)
    out: Floats = middle + (values - middle) * np.sqrt(two_way_variance(table) / own)
    return out
