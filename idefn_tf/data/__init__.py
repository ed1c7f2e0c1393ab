"""Data: files and tables of exposures become tf.data batches."""

from idefn_tf.data.arrays import to_arrays
from idefn_tf.data.batches import EpochClock, encode_dataset
from idefn_tf.data.dataset import open_dataset
from idefn_tf.data.learn import learn_vocabularies
from idefn_tf.data.tables import find_files, read_table

__all__ = [
    "EpochClock",
    "encode_dataset",
    "find_files",
    "learn_vocabularies",
    "open_dataset",
    "read_table",
    "to_arrays",
]
