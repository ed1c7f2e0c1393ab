"""Rows of a down-sampled log stand for the full one."""

import numpy as np

from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.schema import Schema


def schema(keep):
    return Schema.parse(
        {
            "name": "s",
            "labels": {"click": "click", "conversion": "bought", "negative_keep_rate": keep},
            "embedding_width": 2,
            "features": [{"name": "u", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
        }
    )


def test_unclicked_rows_count_as_often_as_they_were_dropped():
    arrays = {"click": np.array([1.0, 0.0, 0.0]), "sample_weight": np.array([1, 1, 3], np.float32)}
    assert row_weights(schema(0.25), arrays).tolist() == [1.0, 4.0, 12.0]
    assert row_weights(schema(1.0), arrays).tolist() == [1.0, 1.0, 3.0]
    assert row_weights(schema(0.25), arrays, whole_log=True).tolist() == [1.0, 1.0, 3.0]
