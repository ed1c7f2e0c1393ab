"""Shards and class-aware batches: nothing lost, nothing twice, and the loss unbiased."""

import itertools

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.data import open_dataset
from idefn_tf.data.batch_sampler import BatchSampler, Shard, mix, pick
from idefn_tf.data.files import iterate_span
from idefn_tf.schema import Schema

SCHEMA = Schema.parse(
    {
        "name": "s",
        "labels": {"click": "click", "conversion": "conversion"},
        "features": [{"name": "n", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
    }
)


def frame(rows, positives=()):
    table = pd.DataFrame({"n": np.arange(rows), "click": 1, "conversion": 0})
    table.loc[list(positives), "conversion"] = 1
    return table


def parquet(folder, rows, files=3, **options):
    made = frame(rows, **options)
    for i, at in enumerate(np.array_split(np.arange(rows), files)):
        made.iloc[at].to_parquet(folder / f"{i}.parquet", row_group_size=17)
    return folder


def records(folder, rows):
    for i, part in enumerate(np.array_split(np.arange(rows), 3)):
        with tf.io.TFRecordWriter(str(folder / f"{i}.tfrecord")) as writer:
            for n in part:
                made = tf.train.Example()
                for name, value in (("n", n), ("click", 1), ("conversion", 0)):
                    made.features.feature[name].int64_list.value.append(int(value))
                writer.write(made.SerializeToString())
    return folder


def sampled(dataset):
    """Batches as (row numbers, weights)."""
    return [(f["n"], w) for f, _, w in dataset.as_numpy_iterator()]


def shards(source, count, **options):
    return [
        sampled(open_dataset(SCHEMA, source, shard=(k, count), **options)) for k in range(count)
    ]


# -- shards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("rows", [600, 607, 601])
@pytest.mark.parametrize("source", ["held", "parquet", "tfrecord", "csv"])
def test_workers_deal_every_row_once_in_equally_many_equal_batches(
    tmp_path, monkeypatch, source, rows, count
):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 10_000 if source == "held" else 50)
    if source == "tfrecord":
        files = records(tmp_path, rows)
    elif source == "csv":
        frame(rows).to_csv(tmp_path / "a.csv", index=False)
        files = tmp_path
    else:
        files = parquet(tmp_path, rows)
    options = {"batch_size": 60, "shuffle": True, "shuffle_rows": 120, "seed": 5}
    workers = shards(files, count, **options)
    steps = -(-rows // 60)
    assert [len(w) for w in workers] == [steps] * count
    for same in zip(*workers, strict=True):
        assert len({len(n) for n, _ in same}) == 1
    whole = [np.concatenate(column) for column in zip(*itertools.chain(*workers), strict=True)]
    numbers, weights = whole
    np.testing.assert_array_equal(np.sort(numbers[weights > 0]), np.arange(rows))
    assert (weights == 0).sum() < count
    # with the remainder left out all batches are full, and no row is weighted away
    workers = shards(files, count, drop_remainder=True, **options)
    assert {len(n) for n, _ in itertools.chain(*workers)} == {60 // count}
    assert all((w == 1).all() for _, w in itertools.chain(*workers))
    assert len({len(w) for w in workers}) == 1


def test_workers_that_hold_all_rows_share_the_batches_of_one_process():
    options = {"batch_size": 12, "shuffle": True, "seed": 2}
    alone = sampled(open_dataset(SCHEMA, frame(100), **options))
    together = zip(*shards(frame(100), 3, **options), strict=True)
    for (numbers, _), parts in zip(alone, together, strict=True):
        joined = np.concatenate([n[w > 0] for n, w in parts])
        np.testing.assert_array_equal(np.sort(joined), np.sort(numbers))


def test_a_worker_reads_its_own_rows_alone_and_others_the_next_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 50)
    files = parquet(tmp_path, 600, files=6)
    read = []

    def spy(files, start, end, rows=131_072):
        for table in iterate_span(files, start, end, rows):
            read.append(table.num_rows)
            yield table

    monkeypatch.setattr("idefn_tf.data.files.iterate_span", spy)
    dataset = open_dataset(SCHEMA, files, batch_size=60, shuffle=True, shard=(0, 2))
    epochs = []
    for _ in range(3):
        read.clear()
        epochs.append({int(i) for numbers, _ in sampled(dataset) for i in numbers})
        assert sum(read) == 300
        assert len(epochs[-1]) == 300
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 130), st.integers(0, 130))
def test_a_span_of_files_is_that_of_their_rows(tmp_path_factory, start, length):
    folder = tmp_path_factory.getbasetemp() / "span"
    if not folder.is_dir():
        folder.mkdir()
        parquet(folder, 100)
    files = [str(folder / f"{i}.parquet") for i in range(3)]
    found = [t["n"].to_numpy() for t in iterate_span(files, start, start + length, rows=5)]
    expected = np.arange(100)[start : start + length]
    np.testing.assert_array_equal(np.concatenate([*found, expected[:0]]), expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 60))
def test_parts_of_a_batch_make_it_up(size, count, first):
    at = np.arange(first, first + size)
    parts = [Shard(k, count).part((at, None)) for k in range(count)]
    assert len({len(rows) for rows, _ in parts}) == 1
    real = [rows if f is None else rows[f > 0] for rows, f in parts]
    np.testing.assert_array_equal(np.sort(np.concatenate(real)), at)


# -- positives in every batch ---------------------------------------------------------------------


def pool(rows, positives):
    label = np.zeros(rows, np.float32)
    label[:positives] = 1.0
    return {"n": np.arange(rows), "conversion": label, "sample_weight": np.ones(rows, np.float32)}


def test_rare_positives_reach_every_batch_and_no_other_row_comes_twice(tmp_path):
    made = frame(1000, positives=range(0, 1000, 200))  # 5 of them in 1000
    options = {"batch_size": 100, "shuffle": True, "positives_per_batch": 4}
    dataset = open_dataset(SCHEMA, made, **options)
    batches = list(dataset.as_numpy_iterator())
    assert int(dataset.cardinality()) == len(batches) == 11  # 995 others, 96 a batch
    assert [int(y["conversion"].sum()) for _, y, _ in batches] == [4] * 11
    numbers = np.concatenate([f["n"][y["conversion"] == 0] for f, y, _ in batches])
    np.testing.assert_array_equal(np.sort(numbers), np.flatnonzero(made["conversion"] == 0))
    for _, y, w in batches:
        assert w.sum() == pytest.approx(len(w), rel=1e-5)
        assert w[y["conversion"] == 1].sum() == pytest.approx(0.005 * len(w), rel=1e-5)
    first = {int(n) for f, y, _ in batches for n in f["n"][y["conversion"] == 1]}
    assert len(first) == 5  # the turns shuffle: all of them appear


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 5), st.integers(0, 99))
def test_the_weighted_loss_has_the_plain_one_as_its_expectation(positives, m, steps, seed):
    """Where every row is sampled equally often the mean over batches is the plain mean exactly."""
    m = min(m, 8)
    others = 12 - m
    held = pool(positives + others * steps * positives, positives)
    held["sample_weight"] = np.ones_like(held["sample_weight"])
    loss = np.random.default_rng(seed).normal(size=len(held["n"]))
    sampler = BatchSampler(12, m)
    if -(-12 * positives // len(held["n"])) > m:
        return
    batches = [b for b, _ in pick(held, sampler, np.random.default_rng(seed))]
    assert len(batches) * m % positives == 0
    means = [np.average(loss[b["n"]], weights=b["sample_weight"]) for b in batches]
    np.testing.assert_allclose(np.mean(means), loss.mean(), rtol=0, atol=1e-6)


def test_the_expectation_over_draws_with_weights_of_the_rows_own():
    held = pool(103, 3)
    held["sample_weight"] = np.linspace(0.5, 1.5, 103).astype(np.float32)
    loss = np.random.default_rng(0).normal(size=103)
    sums = []
    for seed in range(400):
        batches = pick(held, BatchSampler(12, 4), np.random.default_rng(seed))
        batches = [b for b, full in batches if full]
        sums.append(np.mean([b["sample_weight"] @ loss[b["n"]] / 12 for b in batches]))
    plain = held["sample_weight"] @ loss / 103
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - plain) < 4 * error


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=10),
    st.floats(0, 1),
    st.integers(1, 5),
    st.booleans(),
)
def test_streams_deal_every_other_row_once_in_full_batches(sizes, rate, m, shuffle):
    rng = np.random.default_rng(0)
    edges = np.cumsum([0, *sizes])
    label = (rng.random(edges[-1]) < rate).astype(np.float32)
    weight = np.ones(len(label), np.float32)
    chunks = [
        {"n": np.arange(a, b), "conversion": label[a:b], "sample_weight": weight[a:b]}
        for a, b in itertools.pairwise(edges)
    ]
    order = rng if shuffle else None
    batches = [b for b, _ in mix(iter(chunks), BatchSampler(10, m), order, 25)]
    assert all(len(b["n"]) == 10 for b in batches[:-1])
    numbers = np.concatenate([b["n"] for b in batches])
    assert set(numbers) == set(range(edges[-1]))
    others = numbers[label[numbers] == 0]
    assert len(set(others)) == len(others)
    for batch in batches:
        assert batch["sample_weight"].sum() == pytest.approx(len(batch["n"]), rel=1e-5)


@pytest.mark.parametrize("rows", [1000, 30, 965])
@pytest.mark.parametrize("drop_remainder", [True, False])
def test_the_number_of_balanced_batches_is_told(rows, drop_remainder):
    made = frame(rows, positives=range(5))
    options = {"positives_per_batch": 4, "drop_remainder": drop_remainder}
    dataset = open_dataset(SCHEMA, made, batch_size=100, **options)
    assert len(list(dataset)) == int(dataset.cardinality())


def test_positives_reach_every_worker(tmp_path, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 50)
    files = parquet(tmp_path, 600, positives=[5, 333])
    options = {"batch_size": 60, "shuffle": True, "positives_per_batch": 4}
    counts = []
    for k in range(2):
        dataset = open_dataset(SCHEMA, files, shard=(k, 2), **options)
        counts.append([int(y["conversion"].sum()) for _, y, _ in dataset.as_numpy_iterator()])
    assert counts[0] == counts[1] == [2] * len(counts[0])


def test_where_positives_are_frequent_or_all_rows_are_dealt_as_they_come():
    for positives in (0, 60):
        batches = [b for b, _ in pick(pool(60, positives), BatchSampler(20, 3), None)]
        np.testing.assert_array_equal(np.concatenate([b["n"] for b in batches]), np.arange(60))
    frequent = [b for b, _ in pick(pool(60, 30), BatchSampler(20, 3), None)]
    assert all(b["conversion"].sum() == 10 for b in frequent)
    assert all((b["sample_weight"] == 1).all() for b in frequent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": (2, 2)}, r"shard: must be \(index, count\)"),
        ({"shard": (0, 3)}, "batch_size: must be a multiple of the 3 workers"),
        ({"positives_per_batch": 0}, "positives_per_batch: must lie between 1 and 9"),
        ({"positives_per_batch": 10}, "positives_per_batch: must lie between 1 and 9"),
        ({"positives_per_batch": 2, "labels": False}, "labels: must be True for shards"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        open_dataset(SCHEMA, frame(20), batch_size=10, **options)


def test_records_beyond_memory_cannot_be_balanced(tmp_path, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 10)
    with pytest.raises(ValueError, match="positives_per_batch: must be None for records"):
        open_dataset(SCHEMA, records(tmp_path, 30), positives_per_batch=2)
