"""Rows in memory: padded sequences lose their padding and come back as they were."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset
from idefn_tf.data.held_rows import HeldRows, Trimmed, joined, trimmed

#: Full, with a hole, none, one part missing in the last event.
PADDED = np.array(
    [
        [[1, 2], [3, 4], [5, 6]],
        [[1, 2], [0, 0], [5, 6]],
        [[0, 0], [0, 0], [0, 0]],
        [[7, 8], [0, 9], [0, 0]],
    ],
    np.int32,
)


def test_the_zeros_at_the_end_of_a_row_go_and_holes_stay():
    held = Trimmed.of(PADDED)
    assert held.lengths.tolist() == [3, 3, 0, 2]
    assert held.values[3:6].tolist() == [[1, 2], [0, 0], [5, 6]]
    assert held.values[6:].tolist() == [[7, 8], [0, 9]]
    assert held.length == 3


@pytest.mark.parametrize("pieces", [[4], [1, 3], [2, 1, 1]])
def test_rows_are_picked_as_they_were_encoded(pieces):
    ends = np.cumsum(pieces)[:-1]
    lists = joined(*(trimmed(tf.constant(piece)) for piece in np.split(PADDED, ends)))
    plain = joined(*(trimmed(tf.constant(piece)) for piece in np.split(PADDED[:, 0], ends)))
    rows = HeldRows({"lists": {"4": lists}, "plain": plain})
    at = [3, 0, 2, 0]
    picked = tf.function(rows.pick)(tf.constant(at, tf.int64))
    np.testing.assert_array_equal(picked["lists"]["4"], PADDED[at])
    np.testing.assert_array_equal(picked["plain"], PADDED[at, 0])
    assert picked["lists"]["4"].dtype == tf.int32
    (none,) = (rows.pick(tf.constant([2]))["lists"]["4"],)
    assert none.shape == (1, 3, 2)
    spec = tf.function(rows.pick).get_concrete_function(tf.TensorSpec([None], tf.int64))
    assert spec.structured_outputs["lists"]["4"].shape.as_list() == [None, 3, 2]


def test_encoded_batches_of_a_log_with_sequences_are_those_of_raw_ones(shop):
    layer = shop.features()
    held = open_dataset(shop.schema, shop.rows, batch_size=20, encode=layer, shuffle=True)
    raw = open_dataset(shop.schema, shop.rows, batch_size=20, shuffle=True)
    for (encoded, *rest), (features, *others) in zip(held, raw, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, encoded, layer.encode(features))
        tf.nest.map_structure(np.testing.assert_array_equal, rest, others)


def test_without_labels_rows_come_all_the_same(shop):
    layer = shop.features()
    held = open_dataset(shop.schema, shop.rows, batch_size=40, encode=layer, labels=False)
    assert [len(next(iter(batch[0]["rows"].values()))) for batch in held] == [40, 40, 16]
