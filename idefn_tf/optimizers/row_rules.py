"""What a row-sparse optimizer does to rows: pure functions of rows, state, gradient and step.

A table's state is one matrix beside it, so that a row costs one read and one write::

    [ block 1 (d) | ... | block n (d) | last step | learning rate at that step, or 0 | log decay ]

The last column is there where weights decay: the sum over all steps until the last one of
ln(1 - weight decay * learning rate), so that a wait costs one difference whatever the schedule.

A rule answers two questions: what are these rows worth now (`now`), though they were last touched
some steps ago, and what are they after this step's gradient (`advance`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

#: Columns of every row's state after the blocks: the last step that wrote it, its learning rate.
CLOCK = 2
#: What 1 - weight decay * learning rate may not fall below, for its logarithm.
_LEAST = 1e-30


@dataclass(frozen=True)
class Rule:
    """Base of the rules: clocks and decoupled weight decay.

    Attributes:
        l2_rows: coefficient of w in the gradient of touched rows (coupled, before the moments).
        weight_decay: each step multiplies every row by 1 - learning rate * weight_decay.
        lazy: rows rest between two touches: no motion, no decay of moments or weights.
    """

    l2_rows: float = 0.0
    weight_decay: float = 0.0
    lazy: bool = False

    #: How many values of the row's width the state holds.
    blocks = 1

    def initial(self, width: int) -> list[float]:
        """Returns a row's first state."""
        return [0.0] * (self.blocks * width + self.clock)

    @property
    def clock(self) -> int:
        """How many columns of a row's state come after the blocks."""
        return CLOCK + 1 if self.weight_decay else CLOCK

    def log_decay(self, rate: tf.Tensor) -> tf.Tensor:
        """Returns ln(1 - weight decay * rate), what one step adds to the log decay."""
        return tf.math.log(tf.maximum(1.0 - self.weight_decay * rate, _LEAST))

    def now(
        self,
        rows: tf.Tensor,
        state: tf.Tensor,
        step: tf.Tensor,
        rate: tf.Tensor,
        log_decay: tf.Tensor | float = 0.0,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Brings rows up to date: what a dense optimizer would have made of them meanwhile.

        Args:
            rows: [u, d] as the table holds them.
            state: [u, blocks * d + clock] as the state holds it.
            step: scalar, how many steps have been taken, in the rows' dtype.
            rate: scalar, the current learning rate.
            log_decay: scalar, the sum over these steps.

        Returns:
            Rows and state as they would stand after `step` steps.
        """
        width = rows.shape[-1]
        blocks = [state[:, i * width : (i + 1) * width] for i in range(self.blocks)]
        clock = self.blocks * width
        last, touched_rate = state[:, clock : clock + 1], state[:, clock + 1 : clock + 2]
        touched_rate = tf.where(touched_rate > 0, touched_rate, rate)
        elapsed = tf.zeros_like(last) if self.lazy else tf.maximum(step - last, 0.0)
        motion, shrunk = self.drift(blocks, last, elapsed)
        rows = rows - touched_rate * motion
        if self.weight_decay and not self.lazy:
            rows *= tf.exp(log_decay - state[:, clock + 2 :])
        # by column and not by concatenation, for which XLA takes twice as long
        column = tf.range(state.shape[-1])
        factor = shrunk[-1]
        for block in reversed(range(self.blocks - 1)):
            factor = tf.where(column < (block + 1) * width, shrunk[block], factor)
        # what motion remains takes the rate that will hold then, should it be changed here
        clocks = tf.where(tf.equal(column, clock), last + elapsed, tf.zeros_like(last))
        if self.weight_decay:
            clocks = tf.where(tf.equal(column, clock + 2), log_decay, clocks)
        return rows, tf.where(column < clock, state * factor, clocks)

    def advance(
        self,
        rows: tf.Tensor,
        state: tf.Tensor,
        gradient: tf.Tensor,
        step: tf.Tensor,
        rate: tf.Tensor,
        log_decay: tf.Tensor | float = 0.0,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes step number `step` + 1.

        Args:
            rows: [u, d], up to date (from `now`).
            state: [u, blocks * d + clock], up to date too.
            gradient: [u, d].
            step: scalar, as in `now`.
            rate: scalar, as in `now`.
            log_decay: scalar, the sum over all steps, this one included.

        Returns:
            The new rows and state.
        """
        width = rows.shape[-1]
        blocks = [state[:, i * width : (i + 1) * width] for i in range(self.blocks)]
        if self.weight_decay:
            rows = rows * (1.0 - self.weight_decay * rate)
        if self.l2_rows:
            gradient = gradient + self.l2_rows * rows
        motion, blocks = self.move(blocks, gradient, step + 1.0)
        ones = tf.ones_like(rows[:, :1])
        clock = [step + 1.0, rate, log_decay][: self.clock]
        return rows - rate * motion, tf.concat([*blocks, *(ones * part for part in clock)], 1)

    def drift(
        self, blocks: list[tf.Tensor], last: tf.Tensor, elapsed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the motion (over the learning rate) of untouched rows.

        Beside it, for each block, what it has shrunk by: [u, 1].
        """
        raise NotImplementedError

    def move(
        self, blocks: list[tf.Tensor], gradient: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the motion (over the learning rate) of touched rows, and their new blocks."""
        raise NotImplementedError


@dataclass(frozen=True)
class AdamRule(Rule):
    """Adam's arithmetic, with the skipped steps of a row in closed form.

    After its last touch at step s a row of dense Adam goes on moving by its momentum. With
    rho = beta_1 / sqrt(beta_2) and Adam's bias correction c(t), its next k steps add up to::

        lr * m_s / (sqrt(v_s) + epsilon) * sum_{j=1..k} rho^j c(s + j)
      = lr * m_s / (sqrt(v_s) + epsilon) * (G(s) - rho^k G(s + k)),   G(t) = sum_{j>=1} rho^j c(t+j)

    while m and v shrink by beta_1^k and beta_2^k. G depends on the step alone and is a table.
    Two things are approximate: epsilon does not grow against a shrinking sqrt(v), and the motion
    keeps one learning rate: that of the row's last touch, or of its next one where the rows were
    brought up to date in between (so that a rate changed between epochs holds at once). 99 % of
    the motion comes within 44 steps.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    blocks = 2

    def drift(
        self, blocks: list[tf.Tensor], last: tf.Tensor, elapsed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The sum above, and how the moments shrink."""
        m, v = blocks
        rho = self.beta_1 / np.sqrt(self.beta_2)
        table = tf.constant(remaining_motion(self.beta_1, self.beta_2), m.dtype)

        def remaining(step: tf.Tensor) -> tf.Tensor:
            at = tf.cast(tf.minimum(step, float(table.shape[0] - 1)), tf.int32)
            return tf.gather(table, at[:, 0])[:, None]

        share = remaining(last) - _power(rho, elapsed) * remaining(last + elapsed)
        motion = share * m / (tf.sqrt(v) + self.epsilon)
        return motion, [_power(self.beta_1, elapsed), _power(self.beta_2, elapsed)]

    def move(
        self, blocks: list[tf.Tensor], gradient: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Both moments with the gradient in, and c(t) m / (sqrt(v) + epsilon)."""
        m, v = blocks
        m += (gradient - m) * (1.0 - self.beta_1)
        v += (tf.square(gradient) - v) * (1.0 - self.beta_2)
        beta_1, beta_2 = tf.cast(self.beta_1, m.dtype), tf.cast(self.beta_2, m.dtype)
        correction = tf.sqrt(1.0 - tf.pow(beta_2, step)) / (1.0 - tf.pow(beta_1, step))
        return correction * m / (tf.sqrt(v) + self.epsilon), [m, v]


def _power(base: float, exponent: tf.Tensor) -> tf.Tensor:
    """base^exponent; XLA computes many exponentials at once, and powers one by one."""
    if base == 0.0:
        return tf.cast(tf.equal(exponent, 0.0), exponent.dtype)
    return tf.exp(exponent * tf.cast(np.log(base), exponent.dtype))


@functools.lru_cache(maxsize=16)
def remaining_motion(beta_1: float, beta_2: float) -> np.ndarray:
    """G(t) = sum_{j>=1} rho^j c(t + j) for t = 0, 1, ... until c has reached 1, float64."""
    rho = beta_1 / np.sqrt(beta_2)
    last = int(min(20.0 / (1.0 - beta_2), 1_000_000))
    steps = np.arange(1, last + 1, dtype=np.float64)
    correction = np.sqrt(1.0 - beta_2**steps) / (1.0 - beta_1**steps)
    remaining = np.empty(last + 1)
    remaining[last] = rho / (1.0 - rho)
    for t in range(last - 1, -1, -1):
        remaining[t] = rho * (correction[t] + remaining[t + 1])
    return remaining


@dataclass(frozen=True)
class AdagradRule(Rule):
    """Adagrad's arithmetic; a row without a gradient neither moves nor forgets."""

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    blocks = 1

    def initial(self, width: int) -> list[float]:
        """The accumulator's first value, and a clock at 0."""
        return [self.initial_accumulator_value] * width + [0.0] * self.clock

    def drift(
        self, blocks: list[tf.Tensor], last: tf.Tensor, elapsed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """No motion."""
        return tf.zeros_like(blocks[0]), [tf.ones_like(last)]

    def move(
        self, blocks: list[tf.Tensor], gradient: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The accumulator with the gradient in, and g / sqrt(accumulator + epsilon)."""
        accumulator = blocks[0] + tf.square(gradient)
        return gradient / tf.sqrt(accumulator + self.epsilon), [accumulator]
