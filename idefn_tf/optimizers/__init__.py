"""Optimizers: those whose step costs what the batch touches, and the published runs' Adam."""

from __future__ import annotations

from idefn_tf._registry import REGISTRIES
from idefn_tf.optimizers.adam_l2 import AdamL2
from idefn_tf.optimizers.row_access import (
    RowGradient,
    RowsRead,
    apply_rows,
    catch_up,
    read_rows,
    row_gradient,
)
from idefn_tf.optimizers.row_sparse import RowSparse
from idefn_tf.optimizers.row_sparse_adagrad import RowSparseAdagrad
from idefn_tf.optimizers.row_sparse_adam import RowSparseAdam
from idefn_tf.optimizers.waiting_rows import catch_up_rows, rows_wait, rows_written

#: Our optimizers by the name that configs use; any other name is one of Keras'.
OPTIMIZERS: dict[str, type] = REGISTRIES["optimizer"]

__all__ = [
    "OPTIMIZERS",
    "AdamL2",
    "RowGradient",
    "RowSparse",
    "RowSparseAdagrad",
    "RowSparseAdam",
    "RowsRead",
    "apply_rows",
    "catch_up",
    "catch_up_rows",
    "read_rows",
    "row_gradient",
    "rows_wait",
    "rows_written",
]
