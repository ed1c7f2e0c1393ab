"""The lists of a sequence stand side by side: tables, TFRecord, requests and client agree."""

import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset, read_table, to_arrays
from idefn_tf.export.replay import request_arrays
from idefn_tf.schema import Schema
from serving.common.request import RequestBuilder

PARTS = ("clicks__item", "clicks__shop", "clicks__gap")
SCHEMA = Schema.parse(
    {
        "name": "s",
        "labels": {"click": "click", "conversion": "conversion", "exposure_time": "t"},
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "item", "dtype": "string", "side": "item", "kind": "vocabulary"},
            {"name": "shop", "dtype": "int64", "side": "item", "kind": "vocabulary"},
        ],
        "sequences": [
            {"name": "clicks", "key": "user", "condition": "clicked", "items": ["item", "shop"],
             "length": 3, "gap_hours": [1, 24]},
        ],
    }
)  # fmt: skip
NO_EVENT = ["", -1, -1]
CASES = {
    "none": ([[], [], []], [NO_EVENT] * 3),
    "one more than are read": ([list("abcd"), [1, 2, 3, 4], [2, 1, 1, 0]],
                               [["b", 2, 1], ["c", 3, 1], ["d", 4, 0]]),
    "an item is unknown": ([["a", None, "c"], [1, 2, 3], [2, 1, 0]],
                           [["a", 1, 2], ["c", 3, 0], NO_EVENT]),
    "too long without it": ([list("abcde"), [1, 2, None, 4, 5], [2, 2, 1, 1, 0]],
                            [["b", 2, 2], ["d", 4, 1], ["e", 5, 0]]),
}  # fmt: skip


def row(lists):
    given = {"user": 1, "item": "a", "shop": 1, "click": 0, "conversion": 0, "t": 0}
    return {**given, **dict(zip(PARTS, lists, strict=True))}


def text(lists):
    """A row of CSV: what is absent is a blank piece."""
    return row([",".join("" if e is None else str(e) for e in entries) for entries in lists])


def record(path, lists):
    example = tf.train.Example()
    for name, value in row(lists).items():
        kept = example.features.feature[name]
        for entry in value if isinstance(value, list) else [value]:
            if name in ("item", "clicks__item"):
                kept.bytes_list.value.append((entry or "").encode())
            else:
                kept.int64_list.value.append(-1 if entry is None else entry)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    return str(path)


def events(arrays):
    """The events of the only row, part by part."""
    listed = zip(*(arrays[name][0] for name in PARTS), strict=True)
    return [[e.decode() if isinstance(e, bytes) else e for e in event] for event in listed]


@pytest.mark.parametrize("case", sorted(CASES))
def test_an_event_that_lacks_a_part_is_left_out_whole(tmp_path, case):
    """Its other parts would otherwise stand beside those of the next event."""
    lists, expected = CASES[case]
    table = read_table(pd.DataFrame([row(lists)]), SCHEMA)
    assert events(to_arrays(SCHEMA, table, labels=False)) == expected
    assert events(request_arrays(SCHEMA, table)) == expected
    pd.DataFrame([text(lists)]).to_csv(tmp_path / "rows.csv", index=False)
    written = read_table(str(tmp_path / "rows.csv"), SCHEMA)
    assert events(to_arrays(SCHEMA, written, labels=False)) == expected
    assert events(RequestBuilder.from_schema(SCHEMA).columns([row(lists)])) == expected
    ((features,),) = open_dataset(SCHEMA, record(tmp_path / "r.tfrecord", lists), labels=False)
    assert events({name: features[name].numpy() for name in PARTS}) == expected


def test_lists_of_different_length_are_refused_with_part_row_and_cure(tmp_path):
    lists = [["a", "b"], [1], [0, 0]]
    told = (
        "'clicks__shop' must hold one entry for each event, as 'clicks__item' does, received 1 "
        "beside 2 in row 1; send every part of an event"
    )
    table = pd.DataFrame([row([[], [], []]), row(lists)])
    with pytest.raises(ValueError, match=f"^source: column {told}"):
        open_dataset(SCHEMA, table)
    path = record(tmp_path / "r.tfrecord", lists)
    counts = r"received\"\n1\nb'beside'\n2\nb'in row'\n0\n"
    with pytest.raises(ValueError, match=f"'clicks__shop' must hold one entry for .*{counts}"):
        open_dataset(SCHEMA, path)
