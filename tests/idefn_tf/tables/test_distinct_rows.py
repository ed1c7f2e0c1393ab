"""The distinct rows that the input pipeline finds ahead of a step."""

import numpy as np
import tensorflow as tf

from idefn_tf.tables import distinct, found_rows, look_ahead, pack


def check(found, rows):
    """Distinct, complete, each asked-for row in its place, and padding that names row 0."""
    values, count = found.rows.numpy(), int(found.count)
    np.testing.assert_array_equal(values[found.position.numpy()], rows)
    assert len(set(values[:count])) == count == len(np.unique(rows))
    assert not values[count:].any()
    assert int(np.max(found.position)) < count


def test_distinct_rows_stand_column_by_column():
    rows = np.array([[7, 3, 9], [7, 4, 9], [2, 3, 7]], np.int32)
    found = distinct(tf.constant(rows))
    check(found, rows)
    assert found.rows.numpy()[:5].tolist() == [7, 2, 3, 4, 9]
    assert found.position.numpy().tolist() == [[0, 2, 4], [0, 3, 4], [1, 2, 0]]


def test_any_shape_has_distinct_rows():
    rng = np.random.default_rng(0)
    for shape in [(1,), (300,), (40, 3), (5, 1), (0, 2)]:
        rows = rng.integers(0, 50, shape).astype(np.int32)
        if rows.size:
            check(distinct(tf.constant(rows)), rows)
        else:
            assert int(distinct(tf.constant(rows)).count) == 0


def test_batches_carry_the_distinct_rows_of_every_table_and_nothing_else_changes():
    rng = np.random.default_rng(1)
    features = {
        "rows": {
            "4": rng.integers(0, 30, (64, 5)).astype(np.int32),
            "8": rng.integers(0, 9, (64, 2)).astype(np.int32),
            "indicator": rng.integers(0, 9, (64, 2)).astype(np.int32),
        },
        "coefficients": {},
        "numbers": rng.normal(size=(64, 3)).astype(np.float32),
    }
    click = rng.integers(0, 2, 64).astype(np.float32)
    plain = tf.data.Dataset.from_tensor_slices((features, {"click": click}, click)).batch(24)
    ahead = look_ahead(plain)
    assert int(ahead.cardinality()) == 3
    for (encoded, *rest), (more, *others) in zip(plain, ahead, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, rest, others)
        unchanged = {name: part for name, part in more.items() if name != "distinct"}
        tf.nest.map_structure(np.testing.assert_array_equal, encoded, unchanged)
        for width in ("4", "8"):
            check(found_rows(more, width), encoded["rows"][width].numpy())
            now = found_rows(encoded, width)  # found in the step where nothing was handed over
            np.testing.assert_array_equal(now.rows, found_rows(more, width).rows)
        assert set(more["distinct"]) == {"4", "8"}  # an indicator has no table
        again = next(iter(look_ahead(tf.data.Dataset.from_tensors(more))))
        tf.nest.map_structure(np.testing.assert_array_equal, more, again)


def test_rows_of_packed_events_are_among_the_distinct_ones():
    """Two sequences over two tables: found ahead as in the step, each event at its row."""
    rng = np.random.default_rng(2)
    there = np.arange(4) < rng.integers(0, 5, 30)[:, None]
    clicks = {
        "4": (rng.integers(0, 9, (30, 4, 2)) * there[..., None]).astype(np.int32),
        "8": (rng.integers(1, 5, (30, 4, 1)) * there[..., None]).astype(np.int32),
    }
    orders = {"4": rng.integers(0, 20, (30, 2, 1)).astype(np.int32)}
    rows = {"4": rng.integers(0, 30, (30, 3)), "8": rng.integers(0, 9, (30, 1))}
    encoded = {
        "rows": {w: tf.constant(v, tf.int32) for w, v in rows.items()},
        "sequences": tf.nest.map_structure(tf.constant, {"clicks": clicks, "orders": orders}),
    }
    ahead = next(iter(look_ahead(tf.data.Dataset.from_tensors(encoded))))
    assert "sequences" not in ahead
    places = ahead["events"]["clicks"]["places"].numpy()
    np.testing.assert_array_equal(places, np.argwhere(there))
    for width in ("4", "8"):
        found, now = found_rows(ahead, width), found_rows(encoded, width)
        for one, other in zip(
            tf.nest.flatten(vars(found)), tf.nest.flatten(vars(now)), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        values = found.rows.numpy()
        np.testing.assert_array_equal(values[found.position.numpy()], rows[width])
        at = found.events["clicks"].numpy()
        np.testing.assert_array_equal(values[at], clicks[width][places[:, 0], places[:, 1]])
        asked = [rows[width].ravel(), clicks[width][there].ravel()]
        asked += [orders[width][orders[width] > 0]] if width == "4" else []
        assert int(found.count) == len(np.unique(np.concatenate(asked)))
    assert set(found_rows(ahead, "8").events) == {"clicks"}


def test_a_position_with_a_row_in_one_table_alone_is_an_event():
    packed = pack({"2": tf.constant([[[0], [5], [0]]]), "4": tf.constant([[[3], [0], [0]]])})
    assert packed["places"].numpy().tolist() == [[0, 0], [0, 1]]
    assert packed["rows"]["2"].numpy().ravel().tolist() == [0, 5]
    assert packed["rows"]["4"].numpy().ravel().tolist() == [3, 0]
