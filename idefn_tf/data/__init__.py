"""Data: files and tables of exposures become tf.data batches.

Names are imported when they are first used: files are read without TensorFlow, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from idefn_tf._lazy import lazy_names

if TYPE_CHECKING:
    from idefn_tf.data.arrow_to_numpy import to_arrays
    from idefn_tf.data.batches import EpochClock
    from idefn_tf.data.dataset import open_dataset
    from idefn_tf.data.encoding import Encoder, encode_dataset
    from idefn_tf.data.exposure_probability import exposure_probabilities
    from idefn_tf.data.files import find_files, read_table
    from idefn_tf.data.vocabularies import learn_vocabularies

__all__ = [
    "Encoder",
    "EpochClock",
    "encode_dataset",
    "exposure_probabilities",
    "find_files",
    "learn_vocabularies",
    "open_dataset",
    "read_table",
    "to_arrays",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Encoder": "encoding",
        "EpochClock": "batches",
        "encode_dataset": "encoding",
        "exposure_probabilities": "exposure_probability",
        "find_files": "files",
        "learn_vocabularies": "vocabularies",
        "open_dataset": "dataset",
        "read_table": "files",
        "to_arrays": "arrow_to_numpy",
    },
)
