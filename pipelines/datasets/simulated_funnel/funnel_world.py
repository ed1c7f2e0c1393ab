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
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

Array = np.ndarray

DIM = 16
DAYS = 10
POSITIONS = 10
#: CTR and CVR of clicked rows.
PRESETS = {"kuai": (0.49, 0.03), "ali": (0.04, 0.005), "easy": (0.30, 0.10)}
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


@dataclass(frozen=True)
class Options:
    """What to simulate.

    Attributes:
        exposures: rows to draw.
        preset: "kuai", "ali" or "easy": the CTR and the CVR.
        seed: of the world (users, items, logits).
        draw: of the exposures; another draw is fresh data from the same world.
        selection: strength of the hidden confounder, -1..1; 0 is selection on observables alone.
        alignment: how much the taste for clicking is the taste for converting, -1..1.
        users: how many; one for 30 exposures by default.
        items: how many; one for 60 exposures by default.
        taste: strength of what only a user's past tells, 0 or more.
    """

    exposures: int = 120_000
    preset: str = "kuai"
    seed: int = 0
    draw: int = 0
    selection: float = 0.3
    alignment: float = 0.3
    users: int = 0
    items: int = 0
    taste: float = 0.0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset: must be one of {sorted(PRESETS)}, received {self.preset!r}")
        if self.exposures < DAYS:
            raise ValueError(
                f"exposures: must be at least {DAYS} (one a day), received {self.exposures}"
            )
        for name in ("selection", "alignment"):
            if not -1.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: must lie in -1..1, received {getattr(self, name)}")
        if not 0 <= self.taste < np.inf:
            raise ValueError(f"taste: must be 0 or more, received {self.taste}")
        for name in ("seed", "draw", "users", "items"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative, received {getattr(self, name)}")
        for name, share, least in (("users", 30, 100), ("items", 60, 50)):
            if getattr(self, name) == 0:
                object.__setattr__(self, name, max(least, self.exposures // share))

    def as_json(self) -> dict[str, int | float | str]:
        """Returns the options by name; the taste where there is one."""
        names = [field.name for field in fields(self) if field.name != "taste" or self.taste]
        return {name: getattr(self, name) for name in names}


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
                yield self._draw(rng, day, rows, (piece / pieces, (piece + 1) / pieces))

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
