"""Data: files and tables of exposures become tf.data batches."""

from idefn_tf.data.arrow_to_numpy import to_arrays
from idefn_tf.data.batches import Encoder, EpochClock, encode_dataset
from idefn_tf.data.dataset import open_dataset
from idefn_tf.data.files import find_files, read_table
from idefn_tf.data.vocabularies import learn_vocabularies

__all__ = [
    "Encoder",
    "EpochClock",
    "encode_dataset",
    "find_files",
    "learn_vocabularies",
    "open_dataset",
    "read_table",
    "to_arrays",
]
