"""What can be observed of the simulator's users and items: coarse, noisy views of their vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.datasets.simulated_funnel.funnel_world import DIM, World

_SEGMENTS, _REGIONS, _CATEGORIES, _SHOPS, _TAGS = 12, 30, 24, 300, 40
_NOISE = 0.3
_SIDES = 4  # the purpose of this random stream


def side_tables(world: World) -> tuple[pa.Table, pa.Table]:
    """Builds the raw user table and the raw item table, with some values missing."""
    rng = np.random.default_rng([world.options.seed, _SIDES])
    return _users(world, rng), _items(world, rng)


def _users(world: World, rng: np.random.Generator) -> pa.Table:
    views = _views(world.users, [m[:DIM, DIM] for m in _tastes(world)], rng)
    n = len(world.users)
    age = np.clip(np.round(40 + 13 * (views[:, 0] + 0.5 * rng.normal(size=n))), 16, 95)
    return pa.table(
        {
            "user_id": pa.array(np.arange(n), pa.int64()),
            "user_segment": pa.array(
                [f"segment {k}" for k in _cells(views[:, :2], _SEGMENTS, rng)]
            ),
            "user_region": _sometimes(_cells(views, _REGIONS, rng), 0.05, rng),
            "user_age": _sometimes(age, 0.08, rng),
        }
    )


def _items(world: World, rng: np.random.Generator) -> pa.Table:
    views = _views(world.items, [m[DIM, :DIM] for m in _tastes(world)], rng)
    n = len(world.items)
    price = np.round(np.exp(3.0 + 0.8 * (views[:, 0] + 0.5 * rng.normal(size=n))), 2)
    affinity = world.items @ rng.normal(size=(DIM, _TAGS)) / np.sqrt(DIM)
    lengths = rng.choice(5, size=n, p=[0.05, 0.2, 0.3, 0.25, 0.2])
    names, weights = [], []
    for row, length in zip(affinity, lengths, strict=True):
        best = np.argsort(-row, kind="stable")[:length]
        names.append([f"tag {k}" for k in best])
        weights.append([round(float(w), 3) for w in np.log1p(np.exp(row[best]))])
    return pa.table(
        {
            "item_id": pa.array(np.arange(n), pa.int64()),
            "item_category": pa.array(
                [f"category {k}" for k in _cells(views[:, :2], _CATEGORIES, rng)]
            ),
            "item_shop": pa.array(_cells(views, _SHOPS, rng), pa.int64()),
            "item_tags": pa.array(names, pa.list_(pa.string())),
            "item_tag_weights": pa.array(weights, pa.list_(pa.float32())),
            "item_price": pa.array(price, pa.float32()),
        }
    )


def _tastes(world: World) -> tuple[np.ndarray, np.ndarray]:
    return world.conversion_taste, world.click_taste


def _views(latent: np.ndarray, effects: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Noisy projections, shape [n, 4]: on the main effects, then on two random directions."""
    directions = [*effects, *rng.normal(size=(2, DIM))]
    projected = np.stack([latent @ d / np.linalg.norm(d) for d in directions], axis=1)
    return projected + _NOISE * rng.normal(size=projected.shape)


def _cells(views: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Quantises: the nearest of `count` centres drawn among the rows themselves."""
    centres = views[rng.choice(len(views), size=count, replace=len(views) < count)]
    nearest = np.empty(len(views), np.int64)
    for start in range(0, len(views), 65_536):
        block = views[start : start + 65_536]
        distance = ((block[:, None] - centres) ** 2).sum(-1)
        nearest[start : start + 65_536] = distance.argmin(1)
    return nearest


def _sometimes(values: np.ndarray, rate: float, rng: np.random.Generator) -> pa.Array:
    return pa.array(values.astype(np.int64), mask=rng.random(len(values)) < rate)
