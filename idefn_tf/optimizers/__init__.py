"""Optimizers: those whose step costs what the batch touches, and the published runs' Adam."""

from idefn_tf.optimizers.adam_l2 import AdamL2
from idefn_tf.optimizers.row_access import RowsRead, catch_up, read_rows, row_gradient
from idefn_tf.optimizers.row_sparse import RowSparse
from idefn_tf.optimizers.row_sparse_adagrad import RowSparseAdagrad
from idefn_tf.optimizers.row_sparse_adam import RowSparseAdam

__all__ = [
    "AdamL2",
    "RowSparse",
    "RowSparseAdagrad",
    "RowSparseAdam",
    "RowsRead",
    "catch_up",
    "read_rows",
    "row_gradient",
]
