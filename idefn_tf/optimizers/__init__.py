"""Optimizers whose step costs what the batch touches, not what the table holds."""

from idefn_tf.optimizers.adagrad import RowSparseAdagrad
from idefn_tf.optimizers.adam import RowSparseAdam
from idefn_tf.optimizers.row_sparse import RowSparse, mark_table
from idefn_tf.optimizers.touched import Touched, row_gradient, settle, touch

__all__ = [
    "RowSparse",
    "RowSparseAdagrad",
    "RowSparseAdam",
    "Touched",
    "mark_table",
    "row_gradient",
    "settle",
    "touch",
]
