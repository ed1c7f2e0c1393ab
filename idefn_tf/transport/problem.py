"""What is asked: a partial transport problem between positives and unclicked rows (Eq. 4-5).

Real rows (positives) share a small mass; a virtual row, the last one, with the constant cost xi
takes the rest of the columns' mass. With the virtual row the problem is an ordinary balanced one:

    minimise   sum_ij pi_ij M_ij + xi sum_j pi_virtual,j
    over       pi >= 0,   row sums = (a_1 .. a_P, a_virtual),   column sums = (b_1 .. b_U).

The paper's printed marginals are inconsistent; two self-consistent readings are offered by name:

    "proportion" (R2)   a_i = kappa / N_P,  a_virtual = 1 - kappa,              b_j = 1 / N_U
    "literal"    (R1)   a_i = kappa / N_U,  a_virtual = 1 - kappa N_P / N_U,    b_j = 1 / N_U

Under "proportion" kappa is the share of unclicked rows that may be matched. Under "literal" no
column can be labelled by argmax unless N_P > 1 / kappa - 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from idefn_tf._checks import checked_cost, checked_length, checked_mask, checked_share
from idefn_tf._registry import register
from idefn_tf.transport.reductions import fold_columns

MARGINALS = ("proportion", "literal")
CAP = 0.5


@register("class")
class TransportProblem(NamedTuple):
    """A cost, two marginals and the masks that let one compiled shape serve every batch.

    Attributes:
        cost: Float tensor [P, U]; +inf forbids a pair.
        row_mass: Float tensor [P], a_i; 0 at padding.
        column_mass: Float tensor [U], b_j; 0 at padding.
        virtual_mass: Scalar, a_virtual = sum b - sum a (never below 0).
        row_mask: Boolean tensor [P], False at padding.
        column_mask: Boolean tensor [U], False at padding.
        virtual_cost: Scalar xi. A constant per row changes no converged plan.
        capped: Boolean scalar: kappa asked for more mass than the columns hold, so the positives'
            mass was cut to half of it.

    Example:
        >>> from idefn_tf.transport import partial_problem
        >>> problem = partial_problem([[0.0, 1.0]], kappa=0.5)
        >>> problem.column_mass.numpy().tolist(), float(problem.matched_mass)
        ([0.5, 0.5], 0.5)
    """

    cost: tf.Tensor
    row_mass: tf.Tensor
    column_mass: tf.Tensor
    virtual_mass: tf.Tensor
    row_mask: tf.Tensor
    column_mask: tf.Tensor
    virtual_cost: tf.Tensor
    capped: tf.Tensor

    @property
    def matched_mass(self) -> tf.Tensor:
        """Scalar, the mass that goes to real rows: sum_i a_i."""
        return tf.reduce_sum(self.row_mass)

    @property
    def reduced_cost(self) -> tf.Tensor:
        """[P, U], each row less its own smallest cost.

        Both marginals are equalities, so a constant per row changes no plan; it keeps the
        exponents small and the digits where the matching is decided.
        """
        usable = self.row_mask[:, None] & self.column_mask[None, :]
        reduced = self.cost - self.row_minimum[:, None]
        # A difference beyond the largest number is a very high cost, not a forbidden pair.
        finite = tf.minimum(reduced, tf.constant(self.cost.dtype.max, self.cost.dtype))
        reduced = tf.where(self.cost < float("inf"), finite, reduced)
        return tf.where(usable, reduced, tf.zeros_like(self.cost))

    @property
    def row_minimum(self) -> tf.Tensor:
        """[P], each row's smallest cost; 0 where a row has no finite one."""
        least = self.row_least
        return tf.where(tf.math.is_finite(least), least, tf.zeros_like(least))

    @property
    def row_least(self) -> tf.Tensor:
        """[P], each row's smallest cost as it stands: one pass tells what is wrong with a row.

        +inf where every pair of the row is forbidden, -inf where a cost is NaN or -inf.
        """
        infinite = tf.constant(float("inf"), self.cost.dtype)
        usable = self.row_mask[:, None] & self.column_mask[None, :]
        sound = tf.where(self.cost > -infinite, self.cost, -infinite)  # a NaN compares as false
        return fold_columns(tf.minimum, tf.where(usable, sound, infinite), float("inf"))


@register("function")
def partial_problem(
    cost: Any,
    *,
    kappa: Any = None,
    marginals: Any = "proportion",
    row_mask: Any = None,
    column_mask: Any = None,
    virtual_cost: Any = 0.0,
) -> TransportProblem:
    """Builds the problem from a cost matrix and one number, kappa, or from explicit masses.

    Args:
        cost: Numbers [P, U], without the virtual row; float64 stays, all else becomes float32.
        kappa: Scalar number or tensor in [0, 1]; see the module's table. Required by the named
            marginals, not allowed with explicit masses.
        marginals: "proportion", "literal", or a pair (row_mass [P], column_mass [U]); the virtual
            row takes what the real rows leave of the columns' mass.
        row_mask: Boolean [P], False at padding; all True when absent.
        column_mask: Boolean [U], False at padding; all True when absent.
        virtual_cost: Scalar xi.

    Returns:
        The problem. Where kappa asks for more than the columns hold, `capped` is True and the
        positives share half of the columns' mass.

    Raises:
        ValueError: For a cost that is not a matrix of numbers, masks or masses of another length,
            unknown marginals, or a kappa outside [0, 1].

    Example:
        >>> from idefn_tf.transport import partial_problem
        >>> problem = partial_problem([[0.0, 1.0], [4.0, 1.0]], kappa=0.5)
        >>> problem.row_mass.numpy().tolist(), float(problem.virtual_mass)
        ([0.25, 0.25], 0.5)
    """
    cost = checked_cost(cost)
    dtype = cost.dtype
    rows, columns = tf.unstack(tf.shape(cost))
    row_mask = _mask("row_mask", row_mask, cost.shape[0], rows)
    column_mask = _mask("column_mask", column_mask, cost.shape[1], columns)
    virtual_cost = as_type(virtual_cost, dtype)
    if isinstance(marginals, str):
        row_mass, column_mass, capped = _named_masses(
            marginals, _checked_kappa(kappa, marginals), row_mask, column_mask, dtype
        )
    else:
        if kappa is not None:
            raise ValueError(
                f"kappa: must be left out with explicit marginals, which state the rows' mass too, "
                f"received {kappa!r}"
            )
        row_mass, column_mass = _explicit_masses(
            marginals, cost.shape, row_mask, column_mask, dtype
        )
        column_mask = column_mask & tf.not_equal(column_mass, 0)  # no mass, nothing to match
        capped = tf.constant(False)
    rest = tf.reduce_sum(column_mass) - tf.reduce_sum(row_mass)
    # A rest within rounding of nothing is nothing: the plan is then fully matched.
    floor = 8.0 * _epsilon(dtype) * tf.reduce_sum(column_mass)
    return TransportProblem(
        cost=cost,
        row_mass=row_mass,
        column_mass=column_mass,
        virtual_mass=tf.where(rest > floor, rest, tf.zeros_like(rest)),
        row_mask=row_mask,
        column_mask=column_mask,
        virtual_cost=virtual_cost,
        capped=capped,
    )


def _named_masses(
    name: str, kappa: Any, row_mask: tf.Tensor, column_mask: tf.Tensor, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    positives = tf.reduce_sum(tf.cast(row_mask, dtype))
    unclicked = tf.reduce_sum(tf.cast(column_mask, dtype))
    kappa = as_type(kappa, dtype)
    each = kappa / tf.maximum(positives if name == "proportion" else unclicked, 1)
    # An infeasible wish is cut to half of the columns' mass, and said to be so.
    capped = each * positives > 1.0 + 8.0 * _epsilon(dtype)
    each = tf.where(capped, CAP / tf.maximum(positives, 1), each)
    row_mass = tf.where(row_mask, each, tf.zeros_like(each))
    column = tf.math.reciprocal(tf.maximum(unclicked, 1))
    column_mass = tf.where(column_mask, column, tf.zeros_like(column))
    return row_mass, column_mass, capped


def _explicit_masses(
    marginals: Any, shape: tf.TensorShape, row_mask: tf.Tensor, column_mask: tf.Tensor, dtype: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    try:
        row_mass, column_mass = marginals
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"marginals: must be one of {MARGINALS} or a pair (row_mass [P], column_mass [U]), "
            f"received {marginals!r}"
        ) from error
    row_mass, column_mass = as_type(row_mass, dtype), as_type(column_mass, dtype)
    for name, mass, size in (
        ("row_mass", row_mass, shape[0]),
        ("column_mass", column_mass, shape[1]),
    ):
        checked_length(name, mass, size, "leave out the virtual row, it takes the rest")
    zero = tf.zeros([], dtype)
    return tf.where(row_mask, row_mass, zero), tf.where(column_mask, column_mass, zero)


def _checked_kappa(kappa: Any, marginals: str) -> Any:
    if marginals not in MARGINALS:
        raise ValueError(
            f"marginals: must be one of {MARGINALS} or a pair of mass vectors, "
            f"received {marginals!r}"
        )
    if kappa is None:
        raise ValueError(
            f"kappa: must be given with marginals {marginals!r}, received None; give one number, "
            "for example 0.02"
        )
    return checked_share(kappa)


def _mask(name: str, mask: Any, known: int | None, size: tf.Tensor) -> tf.Tensor:
    return tf.fill([size], True) if mask is None else checked_mask(name, mask, known)


def _epsilon(dtype: tf.DType) -> float:
    return 1.2e-7 if dtype == tf.float32 else 2.2e-16


def as_type(value: Any, dtype: tf.DType) -> tf.Tensor:
    """A tensor of `dtype`; unlike tf.cast, Python numbers keep all digits of float64."""
    return tf.cast(value if tf.is_tensor(value) else np.asarray(value), dtype)
