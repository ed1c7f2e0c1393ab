"""New ids in the headroom, hour by hour, and those that found no place."""

import numpy as np

from idefn_tf.schema import Schema
from pipelines.streaming.growth import Growth

SCHEMA = Schema.parse(
    {
        "name": "shop",
        "labels": {"click": "click", "conversion": "buy"},
        "embedding_width": 2,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary",
             "headroom": 2, "min_count": 2},
            {"name": "item", "dtype": "string", "side": "item", "kind": "vocabulary",
             "headroom": 1},
        ],
    }
)  # fmt: skip


def rows(users, items):
    return {"user": np.array(users, np.int64), "item": np.array(items, object)}


def begun():
    return Growth.begin(SCHEMA, rows([1, 1, 1, 2, 2, 9], [b"a"] * 5 + [b""]))


def test_the_first_rows_leave_headroom():
    growth = begun()
    assert growth.learned["user"] == {"kind": "vocabulary", "values": [1, 2], "capacity": 4}
    assert growth.learned["item"] == {"kind": "vocabulary", "values": ["a"], "capacity": 2}
    assert growth.waiting == {"user": {9: 1}, "item": {}}


def test_ids_enter_once_they_came_often_enough_and_the_rest_is_counted():
    growth = begun()
    said = growth.take(rows([9, 1, 5, 6], [b"c", b"b", b"b", b"a"]))
    assert growth.learned["user"]["values"] == [1, 2, 9]  # 9 came once before
    assert said["user"] == {"new": 1, "places_left": 1, "no_place": 0}
    assert growth.learned["item"]["values"] == ["a", "b"]  # twice, before c
    assert said["item"] == {"new": 1, "places_left": 0, "no_place": 1}
    said = growth.take(rows([6, 6, 5, 7], [b"d"] * 4))
    assert growth.learned["user"]["values"] == [1, 2, 9, 6]  # three times, 5 twice
    assert said["user"] == {"new": 1, "places_left": 0, "no_place": 1}
    assert said["item"] == {"new": 0, "places_left": 0, "no_place": 2}


def test_a_state_on_disk_goes_on_the_same(tmp_path):
    one, hours = begun(), [rows([9, 5], [b"c", b"d"]), rows([5, 7], [b"d", b"e"])]
    one.take(hours[0])
    one.save(tmp_path)
    other = Growth.load(SCHEMA, tmp_path)
    assert other.take(hours[1]) == one.take(hours[1])
    assert (other.learned, other.waiting) == (one.learned, one.waiting)
