"""The answer: a transport plan, kept as one number per row until a matrix is asked for.

Every solver here ends with exact columns, so the plan is a soft choice of a row per column:

    pi_ij = b_j exp(phi_i - M_ij / epsilon) / ( s + sum_i' exp(phi_i' - M_i'j / epsilon) ),

phi_i the row's log-scaling (log u_i of Eq. 8-10 with the virtual row's scaling divided out), s = 1
when the virtual row has mass and 0 when it has none, M less each row's minimum. The P numbers phi
are the whole plan; matrix, matched fraction and argmax are computed when they are read.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.transport.feasibility import reachable_mass
from idefn_tf.transport.problem import TransportProblem
from idefn_tf.transport.reductions import fold_rows
from idefn_tf.transport.status import Status


@register("class")
class Plan(NamedTuple):
    """A transport plan and the solver's account of it. A tuple of tensors: graphs pass it on.

    Attributes:
        problem: What was asked.
        potential: Float tensor [P], phi_i; -inf where a row carries nothing.
        fine: Float tensor [P], the digits of phi_i that do not fit beside its leading ones.
        epsilon: Scalar, the entropic weight of this plan in units of the cost (0: exact plan).
        status: Integer scalar, see `Status`.
        iterations: Integer scalar, in the solver's own unit (its docstring says which).
        marginal_error: Scalar, sum_i |row sum - a_i| over all rows with the virtual one plus the
            same over columns; the columns' total mass is 1 under the named marginals.
        transported: Float tensor [P + 1, U] or None; the whole plan where a solver (`exact`,
            `greenkhorn`, `proximal_literal`) yields a matrix instead of potentials.
        fraction: Float tensor [U] or None; the matched fraction, where the solver knows it.

    Example:
        >>> from idefn_tf.transport import match
        >>> plan = match([[0.0, 1.0, 4.0]], kappa=1 / 3)
        >>> total = round(float(tf.reduce_sum(plan.matrix)), 4)
        >>> plan.matrix.shape.as_list(), total, bool(plan.converged)
        ([2, 3], 1.0, True)
    """

    problem: TransportProblem
    potential: tf.Tensor
    fine: tf.Tensor
    epsilon: tf.Tensor
    status: tf.Tensor
    iterations: tf.Tensor
    marginal_error: tf.Tensor
    transported: tf.Tensor | None = None
    fraction: tf.Tensor | None = None

    @property
    def converged(self) -> tf.Tensor:
        """Boolean scalar: both marginals hold within the tolerance."""
        return tf.equal(self.status, int(Status.CONVERGED))

    @property
    def message(self) -> str:
        """What the status means and what to do about it (eager use).

        Where no plan can carry the mass asked for, it says how much one can.
        """
        status = Status(int(self.status))
        reached = reachable_mass(self.problem) if status == Status.INFEASIBLE else None
        if reached is None:
            return status.message
        asked = float(self.problem.matched_mass)
        return f"{status.message} A plan can move {reached:.4g} of the {asked:.4g} asked for."

    @property
    def real_rows(self) -> tf.Tensor:
        """[P, U], the mass that moves from each positive to each unclicked row."""
        if self.transported is not None:
            return self.transported[:-1]
        share, _ = soft_choice(self)
        return share * self.problem.column_mass

    @property
    def virtual_row(self) -> tf.Tensor:
        """[U], the mass that each unclicked row gets from the virtual row."""
        if self.transported is not None:
            return self.transported[-1]
        _, virtual = soft_choice(self)
        return virtual * self.problem.column_mass

    @property
    def matrix(self) -> tf.Tensor:
        """[P + 1, U], the whole plan, the virtual row last."""
        if self.transported is not None:
            return self.transported
        return tf.concat([self.real_rows, self.virtual_row[None, :]], axis=0)

    @property
    def cost(self) -> tf.Tensor:
        """Scalar <pi, M> + xi sum_j pi_virtual,j."""
        mass = self.real_rows
        paid = tf.where(mass > 0, mass * self.problem.cost, tf.zeros_like(mass))
        virtual = self.problem.virtual_cost * tf.reduce_sum(self.virtual_row)
        return tf.reduce_sum(paid) + virtual

    @property
    def matched_fraction(self) -> tf.Tensor:
        """[U] in [0, 1], the share of each column's mass that real rows supply; 0 at padding."""
        if self.fraction is not None:
            fraction = self.fraction
        elif self.transported is not None:
            fraction = tf.math.divide_no_nan(
                tf.reduce_sum(self.transported[:-1], axis=0), self.problem.column_mass
            )
        else:
            share, _ = soft_choice(self)
            fraction = fold_rows(tf.add, share, 0)
        zero = tf.zeros([], fraction.dtype)
        fraction = tf.where(self.problem.column_mask, fraction, zero)
        return tf.clip_by_value(fraction, 0, 1)

    @property
    def argmax(self) -> tf.Tensor:
        """[U] integers, the row that supplies most of each column; -1 is the virtual row.

        The virtual row wins ties, the lower index wins among real rows; -1 at padding.
        """
        return self.best_match[0]

    @property
    def best_match(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Row index [U] as in `argmax`, and that row's share [U] of the column's mass."""
        if self.transported is not None:
            both = tf.math.divide_no_nan(self.transported, self.problem.column_mass)
            share, virtual = both[:-1], both[-1]
        else:
            share, virtual = soft_choice(self)
        if share.shape[0] == 0:
            return tf.fill(tf.shape(virtual), -1), virtual
        best = fold_rows(tf.maximum, share, 0)
        none = tf.shape(share)[0]
        index = tf.range(none)[:, None]
        row = fold_rows(tf.minimum, tf.where(share >= best, index, none), share.shape[0] or 0)
        real = (best > virtual) & self.problem.column_mask
        return tf.where(real, row, -1), tf.where(real, best, virtual)

    @property
    def matched_mass(self) -> tf.Tensor:
        """Scalar, the mass that real rows supply in this plan."""
        return tf.reduce_sum(self.matched_fraction * self.problem.column_mass)


def soft_choice(plan: Plan) -> tuple[tf.Tensor, tf.Tensor]:
    """The plan's columns as probabilities over rows (the formula at the top of this module).

    Args:
        plan: A plan with potentials.

    Returns:
        Shares [P, U] of the real rows and share [U] of the virtual row; they sum to 1 per column.
    """
    problem = plan.problem
    exponent = plan.potential[:, None] - problem.reduced_cost / plan.epsilon
    zero = tf.zeros([], exponent.dtype)
    lowest = tf.constant(exponent.dtype.min, exponent.dtype)
    carries = tf.math.is_finite(plan.potential)
    exponent = tf.where(carries[:, None], exponent, lowest)
    floor = tf.where(problem.virtual_mass > 0, zero, lowest)
    highest = tf.maximum(fold_rows(tf.maximum, exponent, exponent.dtype.min), floor)
    multiplier = tf.where(carries, tf.exp(plan.fine), zero)
    kernel = tf.where(exponent > lowest, tf.exp(exponent - highest), zero) * multiplier[:, None]
    virtual = tf.where(problem.virtual_mass > 0, tf.exp(-highest), zero)
    total = virtual + fold_rows(tf.add, kernel, 0)
    share = tf.math.divide_no_nan(kernel, total)
    return share, tf.where(total > 0, tf.math.divide_no_nan(virtual, total), zero + 1.0)
