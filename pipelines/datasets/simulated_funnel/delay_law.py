"""Delays of simulated conversions, by laws that are known exactly.

With s the scale of the item (1, or lognormal of mean 1 and deviation `spread` of its logarithm) and
m the mean, P(delay > t) is::

    exponential   exp(-t / (s m))
    weibull       exp(-(t / (s b))^k), k = .5, b = m / Gamma(1 + 1 / k): many at once, a long tail
    mixture       .6 exp(-t / (s m / 10)) + .4 P(Gamma(9, 1/4) > t / s): some at once, and a second
                  wave whose mode is two days; m counts for the first part alone

Source: Chapelle, Modeling Delayed Feedback in Display Advertising, KDD 2014 (exponential);
Yoshikawa and Imai, A Nonparametric Delayed Feedback Model for Conversion Rate Prediction, 2018,
arXiv:1802.00255 (delays that are not exponential).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

LAWS = ("none", "exponential", "weibull", "mixture")
#: Weibull's shape k.
SHAPE = 0.5
#: Of the mixture: the share of its first part, how much shorter than the mean it is, and the shape
#: and scale in days of the second, whose mode is (9 - 1) / 4 = 2.
FAST_SHARE, FASTER = 0.6, 10.0
WAVE_SHAPE, WAVE_SCALE = 9, 0.25


@dataclass(frozen=True)
class DelayLaw:
    """How long conversions take, in days from the click.

    Attributes:
        name: one of `LAWS`.
        mean: m, in days.
        spread: deviation of the logarithm of items' scales.
    """

    name: str
    mean: float = 1.0
    spread: float = 0.0

    def scales(self, rng: np.random.Generator, items: int) -> Array:
        """Draws the scale of every item, of mean 1."""
        drawn = rng.normal(size=items) * self.spread - 0.5 * self.spread**2
        return np.asarray(np.exp(drawn))

    def draw(self, rng: np.random.Generator, scale: Array) -> Array:
        """Draws a delay for every row, given its item's scale."""
        rows = len(scale)
        if self.name == "exponential":
            return np.asarray(scale * self.mean * rng.exponential(size=rows))
        if self.name == "weibull":
            return np.asarray(scale * self._weibull_scale * rng.weibull(SHAPE, rows))
        fast = self.mean / FASTER * rng.exponential(size=rows)
        wave = WAVE_SCALE * rng.gamma(WAVE_SHAPE, size=rows)
        return np.asarray(scale * np.where(rng.random(rows) < FAST_SHARE, fast, wave))

    def survival(self, days: Array, scale: Array | float = 1.0) -> Array:
        """Returns P(delay > days): the share of conversions that is still to come."""
        t = np.maximum(np.asarray(days, np.float64), 0.0) / scale
        if self.name == "exponential":
            return np.asarray(np.exp(-t / self.mean))
        if self.name == "weibull":
            return np.asarray(np.exp(-((t / self._weibull_scale) ** SHAPE)))
        x = t / WAVE_SCALE  # of a whole shape: a Poisson sum
        wave = np.exp(-x) * sum(x**k / math.factorial(k) for k in range(WAVE_SHAPE))
        return np.asarray(FAST_SHARE * np.exp(-t * FASTER / self.mean) + (1.0 - FAST_SHARE) * wave)

    @property
    def _weibull_scale(self) -> float:
        return self.mean / math.gamma(1.0 + 1.0 / SHAPE)
