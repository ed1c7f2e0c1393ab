"""Optimizers: those whose step costs what the batch touches, and the published runs' Adam."""

from idefn_tf.optimizers.adam_l2 import AdamL2
from idefn_tf.optimizers.row_sparse import RowSparse
from idefn_tf.optimizers.row_sparse_adagrad import RowSparseAdagrad
from idefn_tf.optimizers.row_sparse_adam import RowSparseAdam
from idefn_tf.optimizers.touched import Touched, row_gradient, settle, touch

__all__ = [
    "AdamL2",
    "RowSparse",
    "RowSparseAdagrad",
    "RowSparseAdam",
    "Touched",
    "row_gradient",
    "settle",
    "touch",
]
