"""Reading ahead: order, errors in their place, and no thread that stays."""

import threading

import pytest

from pipelines.preparation.read_ahead import read_ahead


def test_items_come_in_order():
    assert list(read_ahead(iter(range(1000)), 3)) == list(range(1000))
    assert list(read_ahead([], 1)) == []


def test_no_more_than_so_many_wait():
    made = []

    def items():
        for i in range(10):
            made.append(i)
            yield i

    reader = read_ahead(items(), 2)
    assert next(reader) == 0
    assert len(made) <= 3  # one is in hand, two wait
    assert list(reader) == list(range(1, 10))


def test_an_error_comes_where_its_item_would_have():
    def items():
        yield 1
        raise ValueError("no more")

    reader = read_ahead(items(), 5)
    assert next(reader) == 1
    with pytest.raises(ValueError, match="no more"):
        next(reader)


def test_a_reader_that_stops_leaves_no_thread():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    source = items()
    reader = read_ahead(source, 1)
    next(reader)
    reader.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]
    source.close()
    assert closed.is_set()
