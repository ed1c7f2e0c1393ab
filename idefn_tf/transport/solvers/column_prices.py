"""Column prices: potentials close to a sharp plan's, where rows are light beside columns.

One number per column tells a plan as well as one per row. Let column j leave the virtual row the
share exp(-p_j) of its mass, p_j >= 0 its price. Rows that must bring their own mass then have

    phi_i = log a_i - log sum_j b_j exp(-p_j - C_ij / epsilon),        C the reduced cost,

and prices are right where each column is filled as far as its price says:

    (mass that rows bring to j) / b_j = 1 - exp(-p_j).                                        (*)

In a sharp plan nearly every row brings all that it has to its nearest column whatever small prices
are, so p_j = -log(1 - fill_j) solves (*) at once. Only a column that is nearest to more rows than
it can hold is different: its price must rise until enough of them prefer their second choice, often
by hundreds of epsilon, which Newton would walk in short steps because it sees no second choice
before it is there. Such a price is found by bisection. Of what row i has, the share

    sigmoid(t_i - p),     t_i = how far the column's offer at price 0 beats the row's best other,

stays at price p. The fullest column goes first: what it turns away may fill another.

Nothing here need be exact. Newton starts from these potentials and corrects them.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf.transport.problem import TransportProblem
from idefn_tf.transport.reductions import fold_columns

#: Most columns whose price is searched; where more are overfull at once, none is.
MOST_ROUNDS = 32
#: A column counts as full where less than this share is left to the virtual row.
SPARE = 0.05
#: How far (*) may be off in a full column.
SLACK = 0.01
TURNS = 4
FIXED = 1e-4
#: Rows ask for this share less than their mass, so that where a row's part of a column equals the
#: virtual row's, the virtual row wins and not rounding.
SHY = 1e-5
HALVINGS = 32


class _Market(NamedTuple):
    """Prices [U] and the potentials [P] that they give; `open` while a column is overfull."""

    price: tf.Tensor
    potential: tf.Tensor
    rounds: tf.Tensor
    open: tf.Tensor


class _Bids(NamedTuple):
    """What rows bring at given prices: each row's sum over columns [P], each column's fill [U]."""

    price: tf.Tensor
    total: tf.Tensor
    fill: tf.Tensor
    turns: tf.Tensor
    fixed: tf.Tensor


def priced_potential(
    problem: TransportProblem, cost: tf.Tensor, beta: tf.Tensor, limit: tf.Tensor | int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Potentials of the plan at beta by column prices; needs a virtual row with mass.

    Args:
        problem: What is asked.
        cost: Its reduced cost [P, U].
        beta: Inverse temperature 1 / epsilon.
        limit: Most rounds, each of which looks at the whole cost once and prices one full column.

    Returns:
        phi [P], 0 in rows without mass, and the rounds taken, integer scalar.
    """
    dtype = cost.dtype
    tiny, lowest = tf.constant(1e-37, dtype), tf.constant(-1e30, dtype)
    row, column = problem.row_mass, problem.column_mass
    active = row > 0
    log_row = tf.math.log(tf.maximum(row, tiny)) - SHY
    log_column = tf.where(column > 0, tf.math.log(tf.maximum(column, tiny)), lowest)
    limit = tf.minimum(limit, MOST_ROUNDS)

    def offers(price: tf.Tensor) -> tf.Tensor:
        return log_column - price - cost / (1 / beta)

    def trade(market: _Market) -> tuple[_Market]:
        exponent = offers(market.price)
        best = fold_columns(tf.maximum, exponent, dtype.min)
        entries = tf.exp(exponent - best[:, None])
        bids = _fixed_point(entries, market.price, tf.where(active, row, 0), column)
        sold = 1 - tf.exp(-bids.price)
        gap = tf.where(_has_room(bids.fill, bids.price), tf.zeros_like(sold), bids.fill - sold)
        wrong = tf.abs(gap) > SLACK
        rounds = market.rounds + 1
        count = tf.reduce_sum(tf.cast(wrong, tf.int32))
        going = (count > 0) & (count <= limit - rounds)
        worst = tf.argmax(tf.abs(gap), output_type=tf.int32)

        def search() -> tf.Tensor:
            """The worst column's price, and its twins'."""
            scaled = row / tf.maximum(bids.total, tiny)
            weight = tf.exp(market.price - bids.price)
            priced = wrong & _twins(entries, scaled, weight, worst)
            others = tf.where(priced, lowest, offers(bids.price))
            copies = tf.reduce_sum(tf.cast(priced, dtype))
            offer = tf.gather(log_column, worst) - tf.gather(cost, worst, axis=1) / (1 / beta)
            lead = offer + tf.math.log(copies) - fold_columns(tf.maximum, others, dtype.min)
            price = _price(
                tf.where(active, lead, lowest), row / (copies * tf.gather(column, worst))
            )
            return tf.where(priced, price, bids.price)

        price = tf.cond(going, search, lambda: bids.price)
        potential = log_row - best - tf.math.log(tf.maximum(bids.total, tiny))
        return (_Market(price, potential, rounds, going),)

    start = _Market(tf.zeros_like(column), tf.zeros_like(row), tf.constant(0), tf.constant(True))
    (market,) = tf.while_loop(lambda market: market.open, trade, (start,))
    sound = active & tf.math.is_finite(market.potential)
    return tf.where(sound, market.potential, tf.zeros_like(row)), market.rounds


def _has_room(fill: tf.Tensor, price: tf.Tensor) -> tf.Tensor:
    """Which columns are far enough from full for the price -log(1 - fill)."""
    return (fill < 1 - SPARE) & (tf.exp(-price) > SPARE)


def _twins(
    entries: tf.Tensor, scaled_row: tf.Tensor, weight: tf.Tensor, column: tf.Tensor
) -> tf.Tensor:
    """Which columns get the same from the same rows as `column` does: they are priced as one.

    Priced in turns, equal columns would outbid each other by a little, round after round.
    """
    bid = tf.gather(entries, column, axis=1)
    shared = weight * tf.linalg.matvec(entries, scaled_row * bid, transpose_a=True)
    # A gather, not an index: XLA compiles anew for every value of an index in brackets.
    own = tf.gather(shared, column)
    alike = tf.abs(shared - own) < SLACK * own
    return alike | tf.equal(tf.range(tf.shape(shared)[0]), column)


def _fixed_point(entries: tf.Tensor, price: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> _Bids:
    """Gives columns with room the price of their fill; a few products with one kernel."""
    tiny = tf.constant(1e-37, entries.dtype)

    def turn(bids: _Bids) -> tuple[_Bids]:
        weight = tf.exp(price - bids.price)
        total = tf.linalg.matvec(entries, weight)
        brought = tf.linalg.matvec(entries, row / tf.maximum(total, tiny), transpose_a=True)
        fill = tf.math.divide_no_nan(weight * brought, column)
        own = -tf.math.log1p(-tf.minimum(fill, 1 - SPARE))
        new = tf.where(_has_room(fill, bids.price), own, bids.price)
        fixed = tf.reduce_max(tf.abs(new - bids.price)) < FIXED
        return (_Bids(new, total, fill, bids.turns + 1, fixed),)

    start = _Bids(price, row, column, tf.constant(0), tf.constant(False))
    (bids,) = tf.while_loop(lambda bids: ~bids.fixed & (bids.turns < TURNS), turn, (start,))
    return bids


def _price(lead: tf.Tensor, mass: tf.Tensor) -> tf.Tensor:
    """The price that fills a column: sum_i mass_i sigmoid(lead_i - p) = 1 - exp(-p), by bisection.

    Args:
        lead: t_i, [P].
        mass: The rows' mass in units of the column's, [P].
    """

    def halve(
        turn: tf.Tensor, low: tf.Tensor, high: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        middle = (low + high) / 2
        asked = tf.reduce_sum(mass * tf.sigmoid(lead - middle))
        dear = asked > 1 - tf.exp(-middle)
        return turn + 1, tf.where(dear, middle, low), tf.where(dear, high, middle)

    zero = tf.zeros([], lead.dtype)
    start = (tf.constant(0), zero, tf.maximum(tf.reduce_max(lead), zero) + 30)
    _, low, _ = tf.while_loop(lambda turn, low, high: turn < HALVINGS, halve, start)
    return low
