"""Rows in memory: padded sequences lose their padding and come back as they were."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset
from idefn_tf.data.encoded_rows import EncodedRows
from idefn_tf.data.held_rows import Filling, HeldRows, Trimmed, aligned, joined, trimmed

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


@pytest.mark.parametrize("rows", [4, None])
def test_pieces_fill_the_rows_in_their_order(rows):
    plain, lists = Filling(rows), Filling(rows)
    for piece in np.split(PADDED, [1, 1, 3]):
        plain.add(piece[:, 0])
        lists.add(Trimmed.of(piece))
    np.testing.assert_array_equal(plain.whole(), PADDED[:, 0])
    whole = lists.whole()
    assert whole.lengths.tolist() == [3, 3, 0, 2]
    np.testing.assert_array_equal(whole.values, PADDED[np.arange(3) < whole.lengths[:, None]])


@pytest.mark.parametrize("shape", [(5, 3), (7,), (0, 4)])
def test_tensorflow_reads_filled_rows_where_they_lie(shape):
    filling = Filling(shape[0])
    given = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    filling.add(given)
    whole = filling.whole()
    assert whole.ctypes.data % 64 == 0 or not whole.size
    (tensor,) = HeldRows({"x": whole}).tensors.values()
    np.testing.assert_array_equal(tensor, given)
    whole += 1  # nothing was copied into the tensor
    np.testing.assert_array_equal(tensor, given + 1)


def test_text_is_held_as_it_is():
    text = np.array([b"a", b"bc"], object)
    assert aligned((2,), object).dtype == object
    picked = HeldRows({"x": joined(text[:1], text[1:])}).pick(tf.constant([1, 0]))
    assert picked["x"].numpy().tolist() == [b"bc", b"a"]


def test_raw_rows_are_let_go_piece_by_piece():
    """While rows are encoded, no more than one piece of the raw ones is alive."""
    alive, pieces = [], []

    class Watching:
        raw_names = ("x",)

        def encode(self, features):
            return {"rows": {}, "coefficients": {}, "numbers": features["x"][:, None]}

    def raw():
        for start in range(0, 12, 4):
            gc.collect()
            alive.append(sum(piece() is not None for piece in pieces))
            piece = {"x": np.arange(start, start + 4, dtype=np.float32), "click": np.ones(4)}
            pieces.append(weakref.ref(piece["x"]))
            yield piece
            del piece

    rows = EncodedRows.of(raw(), Watching(), (), ("click",), 12)
    assert rows.features.pick(tf.constant([11, 4]))["numbers"].numpy().ravel().tolist() == [11, 4]
    assert len(rows.arrays["click"]) == 12
    assert max(alive) <= 1
    assert EncodedRows.of(raw(), Watching(), (), ("click",), None, most=7) is None
