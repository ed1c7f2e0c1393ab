"""The funnel simulator's world: users, items, and the two logits of an exposure.

With u and v the latent vectors of a user and an item, p the position and h a hidden confounder::

    s_click      = b_o + w (a.u + c.v + u'K v) - w2 log(1 + p) + w3 h
    s_conversion = b_r + v1 (a'.u + c'.v + u'K' v)             + v2 h

click ~ Bernoulli(sigmoid(s_click)) and the potential conversion R* ~ Bernoulli(sigmoid(
s_conversion)) are drawn for every exposure; the conversion seen is click AND R*. The intercepts
b_o and b_r are found by bisection so that the CTR and the CVR of clicked rows hit the preset. With
a selection of 0 (w3 v2 = 0) clicks depend on observables alone; with more, clicked rows convert
more often than equal unclicked ones, and no feature tells why.

With a taste t > 0 every user also has leanings that no feature shows: b towards all items and e
towards what an item is, g (its place, of length 1, along c and c', which its category is cut from);
t (g.e + b) / sqrt(2) is added to s_conversion and half of it to s_click. What a user did
before tells b and e, and nothing else does.

With a drift `drift` is added to s_conversion from the middle day on. With a law of delays a click
follows its exposure by seconds (exponential, mean 10) and a conversion its click by days
(`delay_law`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from pipelines.datasets.simulated_funnel.funnel_options import DAYS, PRESETS, Options

__all__ = ["DAYS", "DIM", "PRESETS", "Chunk", "DelayedChunk", "Options", "World"]

Array = np.ndarray

DIM = 16
POSITIONS = 10
_RANK = 4
_CLICK_SIGNAL, _CONVERSION_SIGNAL = 1.2, 1.9
_POSITION_WEIGHT, _HIDDEN_WEIGHT = 0.5, 1.2
_USER_ZIPF, _ITEM_ZIPF = 0.7, 0.9
_LATECOMERS = 0.08
_CHUNK = 262_144
_SAMPLE = 200_000
_NODES, _NODE_WEIGHTS = hermegauss(15)
# the purposes of the random streams
_WORLD, _CALIBRATION, _EXPOSURES, _TASTE = 1, 2, 3, 5  # 4 is that of observed_features
_SCALES, _DELAYS = 6, 7
_CLICK_SECONDS = 10.0


@dataclass(frozen=True)
class Chunk:
    """Exposures in the order of time; every array has the shape [rows]."""

    day: int
    user: Array
    item: Array
    position: Array
    second: Array
    click: Array
    oracle_conversion: Array
    oracle_probability: Array
    ctr: Array
    cvr: Array
    ctcvr: Array


@dataclass(frozen=True)
class DelayedChunk(Chunk):
    """Exposures of a world with delays, told as if every row were clicked and converted.

    Attributes:
        click_seconds: from the exposure to the click.
        delay: from the click to the conversion, in days.
        delay_scale: of the item.
    """

    click_seconds: Array
    delay: Array
    delay_scale: Array


class World:
    """Users, items and how exposures come about.

    Attributes:
        users: latent vectors, shape [users, DIM].
        items: latent vectors, shape [items, DIM].
        click_taste: the click's matrix over [u, 1] and [v, 1], shape [DIM + 1, DIM + 1].
        conversion_taste: the conversion's.
        leanings: of users, b and e, shape [users, 3].
        groups: what items are, g, shape [items, 2].
        click_intercept: b_o.
        conversion_intercept: b_r.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        rng = self._stream(_WORLD)
        self.users = rng.normal(size=(options.users, DIM))
        self.items = rng.normal(size=(options.items, DIM))
        click, own = _taste(rng), _taste(rng)
        mixed = options.alignment * click + np.sqrt(1 - options.alignment**2) * own
        self.click_taste = _CLICK_SIGNAL * click
        self.conversion_taste = _CONVERSION_SIGNAL * mixed / np.linalg.norm(mixed)
        hidden = _HIDDEN_WEIGHT * np.sqrt(abs(options.selection))
        self.hidden_weights = (hidden, np.copysign(hidden, options.selection))
        self._first_day = [
            np.where(rng.random(n) < _LATECOMERS, rng.integers(1, DAYS, n), 0)
            for n in (options.users, options.items)
        ]
        self._activity = [
            _zipf(options.users, _USER_ZIPF),
            _zipf(options.items, _ITEM_ZIPF),
        ]
        self.leanings = self._stream(_TASTE).normal(size=(options.users, 3))
        directions = [m[DIM, :DIM] for m in (self.conversion_taste, self.click_taste)]
        seen = np.stack([self.items @ d / np.linalg.norm(d) for d in directions], axis=1)
        self.groups = seen / np.linalg.norm(seen, axis=1, keepdims=True)
        self.law = options.law
        if self.law is not None:
            self.delay_scales = self.law.scales(self._stream(_SCALES), options.items)
        self.click_intercept = self.conversion_intercept = 0.0
        self._calibrate()

    def chunks(self) -> Iterator[Chunk]:
        """Yields all exposures in the order of time, in chunks of bounded size."""
        for day in range(DAYS):
            first, last = (self.options.exposures * d // DAYS for d in (day, day + 1))
            pieces = max(1, -(-(last - first) // _CHUNK))
            for piece in range(pieces):
                rows = (last - first) * (piece + 1) // pieces - (last - first) * piece // pieces
                rng = self._stream(_EXPOSURES, self.options.draw, day, piece)
                chunk = self._draw(rng, day, rows, (piece / pieces, (piece + 1) / pieces))
                yield self._delayed(chunk, self._stream(_DELAYS, self.options.draw, day, piece))

    def _stream(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.options.seed, *purpose])

    def _draw(
        self, rng: np.random.Generator, day: int, rows: int, part_of_day: tuple[float, float]
    ) -> Chunk:
        user, item = self._pairs(rng, day, rows)
        position = rng.integers(0, POSITIONS, rows)
        hidden = rng.normal(size=rows)
        second = np.sort(rng.uniform(*part_of_day, rows)) * 86_400
        click_logit, conversion_logit = self._logits(user, item, position)
        if self.options.drift and 2 * day >= DAYS:
            conversion_logit += self.options.drift
        w3, v2 = self.hidden_weights
        oracle = _sigmoid(conversion_logit + v2 * hidden)
        ctr, cvr, ctcvr = self._observable(click_logit, conversion_logit)
        return Chunk(
            day=day,
            user=user,
            item=item,
            position=position,
            second=second,
            click=rng.random(rows) < _sigmoid(click_logit + w3 * hidden),
            oracle_conversion=rng.random(rows) < oracle,
            oracle_probability=oracle,
            ctr=ctr,
            cvr=cvr,
            ctcvr=ctcvr,
        )

    def _delayed(self, chunk: Chunk, rng: np.random.Generator) -> Chunk:
        """Adds when clicks and conversions come, from a random stream of its own."""
        if self.law is None:
            return chunk
        scale = self.delay_scales[chunk.item]
        seconds = _CLICK_SECONDS * rng.exponential(size=len(scale))
        return DelayedChunk(**vars(chunk), click_seconds=seconds,
                            delay=self.law.draw(rng, scale), delay_scale=scale)  # fmt: skip

    def _pairs(self, rng: np.random.Generator, day: int, rows: int) -> tuple[Array, Array]:
        """Draws users and items among those that are there on the day."""
        user, item = (
            _pick(rng, rows, activity * (first_day <= day))
            for activity, first_day in zip(self._activity, self._first_day, strict=True)
        )
        return user, item

    def _logits(self, user: Array, item: Array, position: Array) -> tuple[Array, Array]:
        u = np.column_stack([self.users[user], np.ones(len(user))])
        v = np.column_stack([self.items[item], np.ones(len(item))])
        click = ((u @ self.click_taste) * v).sum(1) - _POSITION_WEIGHT * np.log1p(position)
        conversion = ((u @ self.conversion_taste) * v).sum(1)
        if self.options.taste:
            e = self.leanings[user]
            leaning = ((e[:, 1:] * self.groups[item]).sum(1) + e[:, 0]) / np.sqrt(2.0)
            click += 0.5 * self.options.taste * leaning
            conversion += self.options.taste * leaning
        return click + self.click_intercept, conversion + self.conversion_intercept

    def _observable(self, click: Array, conversion: Array) -> tuple[Array, Array, Array]:
        """P(click), P(R*) and P(click, R*) where h is unknown: the best any model can know."""
        w3, v2 = self.hidden_weights
        ctr, cvr, ctcvr = np.zeros((3, len(click)))
        for h, weight in zip(_NODES, _NODE_WEIGHTS / _NODE_WEIGHTS.sum(), strict=True):
            p_click, p_conversion = _sigmoid(click + w3 * h), _sigmoid(conversion + v2 * h)
            ctr += weight * p_click
            cvr += weight * p_conversion
            ctcvr += weight * p_click * p_conversion
        return ctr, cvr, ctcvr

    def _calibrate(self) -> None:
        rng = self._stream(_CALIBRATION)
        pairs = [self._pairs(rng, day, _SAMPLE // DAYS) for day in range(DAYS)]
        user, item = (np.concatenate(ids) for ids in zip(*pairs, strict=True))
        rows = len(user)
        click, conversion = self._logits(user, item, rng.integers(0, POSITIONS, rows))
        hidden = rng.normal(size=rows)
        w3, v2 = self.hidden_weights
        ctr, cvr = PRESETS[self.options.preset]
        self.click_intercept = _bisect(lambda b: _sigmoid(click + w3 * hidden + b).mean(), ctr)
        p_click = _sigmoid(click + w3 * hidden + self.click_intercept)
        self.conversion_intercept = _bisect(
            lambda b: np.average(_sigmoid(conversion + v2 * hidden + b), weights=p_click), cvr
        )


def _taste(rng: np.random.Generator) -> Array:
    """A matrix over [u, 1] and [v, 1] of unit variance: main effects and a low-rank interaction."""
    shares = {"user": 0.35, "item": 0.35, "pair": 0.30}
    taste = np.zeros((DIM + 1, DIM + 1))
    taste[:DIM, DIM] = _scaled(rng.normal(size=DIM), shares["user"])
    taste[DIM, :DIM] = _scaled(rng.normal(size=DIM), shares["item"])
    pair = rng.normal(size=(DIM, _RANK)) @ rng.normal(size=(_RANK, DIM))
    taste[:DIM, :DIM] = _scaled(pair, shares["pair"])
    return taste


def _scaled(values: Array, variance: float) -> Array:
    return values * np.sqrt(variance) / np.linalg.norm(values)


def _zipf(n: int, exponent: float) -> Array:
    weights = np.arange(1, n + 1) ** -exponent
    return weights / weights.sum()


def _pick(rng: np.random.Generator, rows: int, weights: Array) -> Array:
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative, rng.random(rows) * cumulative[-1], side="right")


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _bisect(rate: Callable[[float], float], target: float) -> float:
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rate(middle) < target else (low, middle)
    return 0.5 * (low + high)
