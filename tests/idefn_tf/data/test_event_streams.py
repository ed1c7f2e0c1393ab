"""Event streams: places in a stream become lists, and a stream that does not fit is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.data import event_streams
from idefn_tf.data.files import column_values

CLICKS = event_streams.description("clicks", ["item", "shop"], 2, [10.0, 100.0])
SEEN = event_streams.description("seen", ["item"], 3, [])
STREAM = pa.table(
    {"time": [5, 50, 60, 7], "item": ["a", "b", "c", "d"], "shop": [1, 2, 3, 4]},
    schema=pa.schema([("time", pa.int64()), ("item", pa.large_string()), ("shop", pa.int64())]),
)
ROWS = {
    "user": [1, 1, 2, 3],
    "clicks__start": [0, 0, 3, 4],
    "clicks__end": [0, 3, 4, 4],
    "seen__start": [0, 0, 3, 4],
    "seen__end": [1, 3, 4, 4],
    "history_as_of": [5, 70, 107, 0],
}


def write_stream(root, name, stream=STREAM):
    (root / "streams").mkdir(exist_ok=True)
    path = root / "streams" / f"{name}.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, stream.schema) as writer:
        writer.write_table(stream)
    return path


@pytest.fixture
def part(tmp_path):
    """A prepared part beside its streams."""
    for name in ("clicks", "seen"):
        write_stream(tmp_path, name)
    (tmp_path / "test").mkdir()
    table = pa.table(ROWS).replace_schema_metadata(event_streams.metadata([CLICKS, SEEN]))
    pq.write_table(table, tmp_path / "test" / "part-0.parquet")
    return tmp_path / "test" / "part-0.parquet"


def read(part, names=None):
    marks = event_streams.marks_of(pq.read_schema(part))
    table = pq.read_table(part, columns=event_streams.asked(names, marks), partitioning=None)
    return event_streams.with_lists(table, str(part), marks, names)


def test_rows_hold_the_newest_events_of_their_places_oldest_first(part):
    table = read(part)
    assert table.column_names == ["user", "clicks__item", "clicks__shop", "clicks__gap",
                                  "seen__item"]  # fmt: skip
    assert table["clicks__item"].to_pylist() == [[], ["b", "c"], ["d"], []]
    assert table["clicks__shop"].to_pylist() == [[], [2, 3], [4], []]
    # 70 - 50 and 70 - 60, 107 - 7: a bound belongs to the bucket above it
    assert table["clicks__gap"].to_pylist() == [[], [1, 1], [2], []]
    assert table["seen__item"].to_pylist() == [["a"], ["a", "b", "c"], ["d"], []]


@pytest.mark.parametrize(
    ("names", "raw"),
    [
        (["user"], ["user"]),
        (["seen__item", "user"], ["user", "seen__start", "seen__end"]),
        (["clicks__gap"], ["clicks__start", "clicks__end", "history_as_of"]),
    ],
)
def test_only_the_columns_that_are_asked_for_are_read(part, names, raw):
    assert event_streams.asked(names, [CLICKS, SEEN]) == raw
    assert read(part, names).column_names == names


def test_a_file_without_sequences_is_left_alone():
    plain = pa.schema([("user", pa.int64())])
    assert event_streams.marks_of(plain) == []
    assert event_streams.asked(["user", "x"], []) == ["user", "x"]
    assert event_streams.asked(None, [CLICKS]) is None


def test_a_stream_that_is_not_there_is_an_error_with_its_path(part):
    (part.parent.parent / "streams" / "seen.arrow").unlink()
    assert read(part, ["clicks__item"]).num_rows == 4
    with pytest.raises(ValueError, match="must be there") as error:
        read(part)
    assert "seen.arrow" in str(error.value)
    assert "prepare them anew" in str(error.value)


def test_a_stream_of_other_rows_is_too_short(part):
    path = write_stream(part.parent.parent, "seen", STREAM.slice(0, 3))
    with pytest.raises(ValueError, match="must hold 4 events, received 3") as error:
        read(part)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"ARROW1 and then nothing", b"PAR1"])
def test_a_damaged_stream_is_an_error_with_its_path(part, content):
    path = part.parent.parent / "streams" / "seen.arrow"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must") as error:
        read(part)
    assert str(path) in str(error.value)


def test_a_stream_without_an_item_is_an_error_with_its_name(part):
    write_stream(part.parent.parent, "clicks", STREAM.drop_columns(["shop"]))
    with pytest.raises(ValueError, match="must hold the column 'shop'"):
        read(part)


def test_a_stream_that_is_written_anew_is_read_anew(part):
    assert read(part)["seen__item"].to_pylist()[0] == ["a"]
    changed = STREAM.set_column(1, "item", pa.array(["z", "b", "c", "d"], pa.large_string()))
    write_stream(part.parent.parent, "seen", changed)
    assert read(part)["seen__item"].to_pylist()[0] == ["z"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), max_size=8), st.integers(1, 4))
def test_the_newest_places_are_those_of_a_loop(rows, length):
    start = np.array([first for first, _ in rows], np.int64)
    end = start + np.array([count for _, count in rows], np.int64)
    places, offsets = event_streams.newest(start, end, length)
    for row, (first, count) in enumerate(rows):
        want = list(range(first, first + count))[-length:]
        assert places[offsets[row] : offsets[row + 1]].tolist() == want
    assert offsets[-1] == len(places)


def test_slices_of_one_table_are_slices_of_its_lists(part):
    marks = event_streams.marks_of(pq.read_schema(part))
    whole = pq.read_table(part, partitioning=None)
    some = event_streams.with_lists(whole.slice(1, 2), str(part), marks)
    assert some.equals(read(part).slice(1, 2))
    assert column_values(some, "clicks__item").to_pylist() == [["b", "c"], ["d"]]
