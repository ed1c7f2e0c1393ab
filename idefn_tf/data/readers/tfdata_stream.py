"""Streams that TensorFlow reads itself: TFRecord, and Parquet through tensorflow-io.

A generator must not call TensorFlow (the two wait for each other), so what only TensorFlow can
read is sampled by tf.data alone where it does not fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from idefn_tf.data.batch_sampler import Shard
from idefn_tf.data.batches import EpochClock
from idefn_tf.data.label_checks import check_labels
from idefn_tf.schema import CLICK, CONVERSION


def stream(
    rows: Callable[[tf.Tensor | None], tf.data.Dataset],
    parse: Callable[[Any], dict[str, tf.Tensor]],
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    clock: EpochClock,
    drop_remainder: bool,
    shuffle_rows: int,
    labels: bool,
    shard: Shard,
    further: Sequence[str] = (),
) -> tf.data.Dataset:
    """Streams rows in an order that is drawn from `seed` and the epoch that the clock shows.

    Args:
        rows: gives the unparsed rows, of files in an order drawn from a seed if there is one.
        parse: turns a batch of them into columns by name.
        batch_size: rows a batch, over all workers.
        shuffle: whether rows and files are shuffled.
        seed: of the order.
        clock: tells the epoch.
        drop_remainder: leaves out a last batch that is not full.
        shuffle_rows: rows held in memory to shuffle among.
        labels: whether rows have labels and a weight.
        shard: the worker; all read every row, and each parses its own.
        further: labels beside click and conversion.
    """

    def epochs() -> Iterator[int]:
        yield clock.start()

    def sample(epoch: tf.Tensor) -> tf.data.Dataset:
        if not shuffle:
            return rows(None).batch(batch_size, drop_remainder=drop_remainder)
        # of this function's graph alone: under a global seed of 0 TensorFlow would ask a tensor
        # whether it equals 0, while it draws the graph
        tf.random.set_seed(1)
        drawn = tf.random.stateless_uniform(
            [2], [tf.constant(seed, tf.int64), epoch], 0, 2**62, tf.int64
        )
        mixed = rows(drawn[0]).shuffle(shuffle_rows, seed=drawn[1], reshuffle_each_iteration=False)
        return mixed.batch(batch_size, drop_remainder=drop_remainder)

    def finish(batch: Any) -> Any:
        if shard.count == 1:
            columns = parse(batch)
            return split(columns, further) if labels else (columns,)
        mine, real = _part(shard, tf.shape(tf.nest.flatten(batch)[0])[0])
        columns = parse(tf.nest.map_structure(lambda values: tf.gather(values, mine), batch))
        columns["sample_weight"] = tf.cast(columns["sample_weight"], tf.float32) * real
        return split(columns, further)

    counted = tf.data.Dataset.from_generator(epochs, output_signature=tf.TensorSpec([], tf.int64))
    sampled = counted.flat_map(sample).map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    return sampled.prefetch(tf.data.AUTOTUNE)


def _part(shard: Shard, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a worker's rows of a batch, and 0 for one that fills it up, as `Shard.part` does."""
    places = tf.range(-(-size // shard.count)) * shard.count + shard.index
    real = places < size
    return tf.where(real, places, 0), tf.cast(real, tf.float32)


def split(columns: dict[str, tf.Tensor], further: Sequence[str] = ()) -> Any:
    """Splits columns into (features, labels, sample_weight), hiding as `hide_labels` does."""
    beside = {name: tf.cast(columns.pop(name), tf.float32) for name in further}
    labels = {name: tf.cast(columns.pop(name), tf.float32) for name in (CLICK, CONVERSION)}
    weight = tf.cast(columns.pop("sample_weight"), tf.float32)
    checks = check_labels({**labels, **beside}, weight)
    with tf.control_dependencies(checks):
        labels[CONVERSION] = labels[CONVERSION] * labels[CLICK]
    return columns, {**labels, **beside}, weight
