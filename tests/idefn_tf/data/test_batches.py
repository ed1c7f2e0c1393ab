"""Rows are dealt once, in an order of their own; what is wrong in a stream is said."""

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.data import EpochClock, open_dataset
from idefn_tf.data.batch_sampler import BatchSampler, mix
from idefn_tf.schema import Schema

COUNTED = Schema.parse(
    {
        "name": "n",
        "labels": {"click": "click", "conversion": "conversion"},
        "features": [{"name": "n", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
    }
)


def numbered(rows):
    return pd.DataFrame({"n": np.arange(rows), "click": 0, "conversion": 0})


@pytest.fixture(scope="module")
def numbered_files(tmp_path_factory):
    root = tmp_path_factory.mktemp("numbered")
    for i, start in enumerate(range(0, 1000, 300)):
        part = numbered(1000)[start : start + 300]
        pq.write_table(pa.Table.from_pandas(part), root / f"{i}.parquet", row_group_size=50)
    return root


@pytest.fixture(scope="module")
def numbered_records(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    for i, start in enumerate(range(0, 1000, 300)):
        with tf.io.TFRecordWriter(str(root / f"{i}.tfrecord")) as writer:
            for n in range(start, min(start + 300, 1000)):
                made = tf.train.Example()
                made.features.feature["n"].int64_list.value.append(n)
                for label in ("click", "conversion"):
                    made.features.feature[label].int64_list.value.append(0)
                writer.write(made.SerializeToString())
    return root


def order(dataset):
    return np.concatenate([features["n"] for features, _, _ in dataset.as_numpy_iterator()])


@pytest.mark.parametrize("cache", [2_000_000, 500], ids=["held", "streamed"])
@pytest.mark.parametrize("form", ["files", "records"])
def test_every_epoch_deals_every_row_once_in_an_order_of_its_own(
    form, numbered_files, numbered_records, cache, monkeypatch
):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    source = numbered_files if form == "files" else numbered_records

    def opened(seed=3, **options):
        return open_dataset(
            COUNTED, source, batch_size=64, shuffle=True, seed=seed, shuffle_rows=200, **options
        )

    dataset = opened()
    epochs = [order(dataset) for _ in range(3)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(1000))
        assert np.corrcoef(epoch, np.arange(1000))[0, 1] < 0.9
    assert not np.array_equal(epochs[0], epochs[1])
    np.testing.assert_array_equal(order(opened()), epochs[0])
    assert not np.array_equal(order(opened(seed=4)), epochs[0])
    # the third epoch again, as a resumed run asks for it
    np.testing.assert_array_equal(order(opened(clock=EpochClock(2))), epochs[2])
    clock = EpochClock()
    dataset = opened(clock=clock)
    clock.epoch = 1
    for _ in range(2):
        np.testing.assert_array_equal(order(dataset), epochs[1])


def test_without_shuffling_the_order_is_the_files(numbered_files, monkeypatch):
    np.testing.assert_array_equal(order(open_dataset(COUNTED, numbered_files)), np.arange(1000))
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 500)
    np.testing.assert_array_equal(order(open_dataset(COUNTED, numbered_files)), np.arange(1000))


def test_streaming_mixes_across_files(numbered_files, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 500)
    dataset = open_dataset(COUNTED, numbered_files, batch_size=100, shuffle=True, shuffle_rows=700)
    first = order(dataset.take(1))
    assert len(set(first // 300)) > 1


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 30),
    st.integers(1, 90),
    st.booleans(),
)
def test_mixing_deals_every_row_once_in_full_batches(sizes, batch_size, shuffle_rows, shuffle):
    total = sum(sizes)
    edges = np.cumsum([0, *sizes])
    chunks = [{"n": np.arange(a, b)} for a, b in itertools.pairwise(edges)]
    rng = np.random.default_rng(0) if shuffle else None
    batches = [b["n"] for b, _ in mix(iter(chunks), BatchSampler(batch_size), rng, shuffle_rows)]
    dealt = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(dealt), np.arange(total))
    assert all(len(b) == batch_size for b in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size
    if not shuffle:
        np.testing.assert_array_equal(dealt, np.arange(total))


@pytest.mark.parametrize("cache", [2_000_000, 500], ids=["held", "streamed"])
def test_a_part_batch_can_be_left_out(numbered_files, cache, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    dataset = open_dataset(COUNTED, numbered_files, batch_size=300, drop_remainder=True)
    assert [len(w) for _, _, w in dataset] == [300, 300, 300]
    assert int(dataset.cardinality()) == 3
    only = open_dataset(COUNTED, numbered(5), batch_size=300, drop_remainder=True)
    assert [len(w) for _, _, w in only] == [5]


# -- errors in a stream ---------------------------------------------------------------------------


def test_an_error_in_a_later_file_of_a_stream_keeps_its_message(tmp_path, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 5)
    for i in range(2):
        table = numbered(10) if i == 0 else numbered(10).assign(click=7)
        table.to_parquet(tmp_path / f"{i}.parquet")
    dataset = open_dataset(COUNTED, tmp_path, batch_size=10)
    with pytest.raises(tf.errors.InvalidArgumentError, match="label column 'click' must hold"):
        list(dataset)


def test_wrong_labels_in_a_stream_of_records(tmp_path, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 0)
    made = tf.train.Example()
    for name, value in (("n", 1), ("click", 1), ("conversion", 3)):
        made.features.feature[name].int64_list.value.append(value)
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(made.SerializeToString())
    monkeypatch.setattr("idefn_tf.data.dataset._hold", lambda *given: None)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"label column .*conversion.* must"):
        list(open_dataset(COUNTED, tmp_path))
