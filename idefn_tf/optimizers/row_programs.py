"""The programs of a row-sparse step: XLA makes one pass each of what are dozens of operations.

Under ``tf.distribute`` nothing is compiled: every replica updates every row that one of them read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from idefn_tf.optimizers.row_access import (
    RowGradient,
    sum_duplicates,
    sum_events,
    to_positions,
)
from idefn_tf.optimizers.row_rules import Rule
from idefn_tf.tables import Distinct


class Rows(NamedTuple):
    """What a compiled update needs of the rows of one table.

    Attributes:
        values, state: as in `RowsRead`.
        gradient: with respect to the distinct rows, [K, d].
    """

    values: tf.Tensor
    state: tf.Tensor
    gradient: tf.Tensor

    @classmethod
    def of(cls, gradient: RowGradient) -> Rows:
        """Takes what was read, and the gradient of each row that was."""
        read = gradient.rows_read
        found = read.found
        more = [] if not gradient.events else [sum_events(found, gradient.events)]
        program = summing(read.padding_row)
        return cls(
            read.values, read.state, program(gradient.values, found.rows, found.position, *more)
        )


@dataclass
class Update:
    """What passes between an optimizer's ``apply`` and a table's ``update_step``.

    Attributes:
        found: which rows; None inside a program, which gives rows back and writes nothing.
        values, state: of these rows, up to date; None where they are still to be read.
        result: the new values and state, where a program gives them back.
    """

    found: Distinct | None
    values: Any = None
    state: Any = None
    result: Any = None


@functools.lru_cache(maxsize=64)
def compiled(rule: Rule, part: str, jit: bool) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Returns `rule.now` or `rule.advance` as one program."""
    return tf.function(getattr(rule, part), jit_compile=jit, autograph=False)


@functools.lru_cache(maxsize=64)
def summing(padding_row: int | None) -> Callable[..., tf.Tensor]:
    """Returns the program that sums the gradients of repeated rows.

    One of its own: together with the update, XLA takes longer than for the two.
    """

    def program(
        gradient: tf.Tensor, rows: tf.Tensor, position: tf.Tensor, more: tf.Tensor | None = None
    ) -> tf.Tensor:
        return sum_duplicates(gradient, rows, position, padding_row, more)

    return tf.function(program, jit_compile=True, autograph=False)


@functools.lru_cache(maxsize=64)
def up_to_date(rule: Rule, padding_row: int | None, jit: bool) -> Callable[..., Any]:
    """Returns the program that brings rows up to date and puts them where they are asked for.

    It takes (rows, values, state, position, *clock) and gives values [K, d], state [K, s] and
    the asked-for rows in their places [*shape, d].
    """

    def program(
        rows: tf.Tensor,
        values: tf.Tensor,
        state: tf.Tensor,
        position: tf.Tensor,
        *clock: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if not rule.lazy:
            values, state = rule.now(values, state, *clock)
        return values, state, to_positions(rows, values, position, padding_row)

    return tf.function(program, jit_compile=jit, autograph=False)


def replica_count() -> int:
    """Returns how many replicas train together, seen from the one that asks."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def gather_row_gradients(gradient: tf.IndexedSlices) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the rows and gradients of all replicas, the gradients divided by their number.

    Keras sums over replicas what is the same on each.
    """
    rows, values = gradient.indices, gradient.values
    if replica_count() == 1:
        return rows, values
    context = tf.distribute.get_replica_context()
    rows, values = context.all_gather(rows, 0), context.all_gather(values, 0)
    return rows, values / float(replica_count())
