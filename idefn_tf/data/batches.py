"""Batches: the rows of a table or of files, raw or encoded, in an order that repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
import tensorflow as tf

from idefn_tf.data.batch_sampler import (
    Arrays,
    BatchSampler,
    Shard,
    grouped,
    index_batches,
    level,
    mix,
    pick,
)
from idefn_tf.data.encoded_rows import EncodedRows
from idefn_tf.data.encoding import Encoder, encode_dataset
from idefn_tf.data.generated_dataset import NUMBER, finished, generated, opened, shared, yielded
from idefn_tf.data.held_rows import pick as pick_held
from idefn_tf.schema import CLICK, CONVERSION

#: Gives the rows of a range, in an order drawn from the generator if there is one.
Span: TypeAlias = Callable[[np.random.Generator | None, int, int], Iterable[Arrays]]


class EpochClock:
    """The epoch that a shuffled data set gives; set it to resume in the middle of a run.

    Every iteration over the data set gives the epoch that the clock shows and moves it on, unless
    `epoch` has been set by the training loop (`idefn_tf.callbacks.SetEpoch`).

    Example:
        >>> from idefn_tf.data import EpochClock, open_dataset
        >>> def third_epoch():
        ...     clock = EpochClock(epoch=3)
        ...     rows = open_dataset(schema, table, batch_size=24, shuffle=True, clock=clock)
        ...     return next(iter(rows))[0]["price"].numpy()
        >>> bool(np.all(third_epoch() == third_epoch())), float(third_epoch().sum())
        (True, 138.0)
    """

    def __init__(self, epoch: int = 0) -> None:
        self._next = epoch
        self._fixed: int | None = None

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration gives."""
        return self._next if self._fixed is None else self._fixed

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._fixed = value

    def start(self) -> int:
        """Returns the epoch of an iteration that begins now."""
        epoch = self.epoch
        self._next += 1
        return epoch


@dataclass(eq=False)
class Batches:
    """Rows and the way they are sampled.

    Attributes:
        signature: of the raw features.
        sampler: how many rows a batch holds, over all workers, and whether positives in each.
        rows: how many there are, where known.
        held: all rows in memory, or None.
        chunks: gives the rows piece by piece, in an order drawn from the generator if there is
            one; used where `held` is None.
        span: where workers can read rows of their own: gives the rows that lie in a range of
            `chunks`' order.
        shuffle, seed, clock: whether and in which order rows are sampled.
        drop_remainder: leaves out a last batch that is not full (never the only one).
        shuffle_rows: how many rows of chunks are mixed at a time.
        labels: whether rows have labels and a weight.
        shard: which of the workers that share every batch this is.
        encode: what encodes the features of a stream; None leaves them raw.
        encoded: all rows in memory, encoded, in place of `held`.
        keep: raw features that stay beside the encoded ones.
        further: labels beside click and conversion.
    """

    signature: dict[str, tf.TensorSpec]
    sampler: BatchSampler
    rows: int | None
    held: Arrays | None
    chunks: Callable[[np.random.Generator | None], Iterable[Arrays]]
    span: Span | None
    shuffle: bool
    seed: int
    clock: EpochClock
    drop_remainder: bool
    shuffle_rows: int
    labels: bool
    shard: Shard = field(default_factory=Shard)
    encode: Encoder | None = None
    encoded: EncodedRows | None = None
    keep: tuple[str, ...] = ()
    further: tuple[str, ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels of a batch."""
        return (CLICK, CONVERSION, *self.further)

    @property
    def targets(self) -> tuple[str, ...]:
        """What a batch holds beside features."""
        return (*self.label_names, "sample_weight") if self.labels else ()

    def dataset(self) -> tf.data.Dataset:
        """Returns the batches as a data set.

        Rows in memory are encoded once, before, so that epochs only pick rows. A stream is encoded
        batch by batch in the pipeline (TensorFlow code inside a generator could deadlock).
        """
        if self.encoded is not None:
            return self._picked(self.encoded)
        dataset = generated(
            self._elements(self.signature), lambda: self.sample(self.held), self._count()
        )
        return dataset if self.encode is None else encode_dataset(dataset, self.encode, self.keep)

    def sample(self, held: Arrays | None) -> Iterator[Any]:
        """Yields the batches of one epoch, from rows in memory if there are."""
        rng = self._begin()
        if held is not None:
            batches = pick(held, self.sampler, rng, self.shard)
        elif self._reads_its_own:
            batches = self._own(rng)
        else:
            batches = mix(self.chunks(rng), self.sampler, rng, self.shuffle_rows, self.shard)
        yield from (self._split(arrays) for arrays in self._wanted(batches))

    def _begin(self) -> np.random.Generator | None:
        """Begins an epoch and returns what draws its order, if anything."""
        epoch = self.clock.start()
        return np.random.default_rng([self.seed, epoch]) if self.shuffle else None

    def _wanted(self, batches: Iterable[tuple[Any, bool]]) -> Iterator[Any]:
        """Leaves out a last batch that is not full, where that was asked for."""
        for i, (batch, full) in enumerate(batches):
            if not full and self.drop_remainder and i > 0:
                return
            yield batch

    def _picked(self, rows: EncodedRows) -> tf.data.Dataset:
        """Batches encoded rows: Python draws their numbers, TensorFlow picks them."""

        def sample() -> Iterator[Any]:
            begun = self._begin()
            sampled = self._wanted(index_batches(rows.arrays, self.sampler, begun, self.shard))
            yield from grouped(sampled)

        held = (rows.features.specification(), rows.targets.specification())
        forms = (rows.features.form, rows.targets.form)
        names = self.label_names if self.labels else None
        program = shared(
            f"picked {held!r} {forms!r} {names}",
            lambda: _picking(forms, names),
            (NUMBER, NUMBER, *held),
        )
        count = tf.constant(self._count(), tf.int64)
        return opened(program, sample, count, rows.features.tensors, rows.targets.tensors)

    @property
    def _reads_its_own(self) -> bool:
        """Whether workers read ranges of rows rather than all rows (positives are over all)."""
        known = self.span is not None and self.rows is not None
        return known and self.shard.count > 1 and self.sampler.positives is None

    def _own(self, rng: np.random.Generator | None) -> Iterator[tuple[Arrays, bool]]:
        """Batches the rows of this worker's range, in as many batches as every other worker."""
        count, size = self.shard.count, self.sampler.batch_size // self.shard.count
        total, span = self.rows or 0, cast("Span", self.span)
        steps, rows = self._count() or 0, span(rng, *self.shard.rows(total))
        last = min(size, -(-total // count) - (steps - 1) * size)
        yield from level(mix(rows, BatchSampler(size), rng, self.shuffle_rows), steps, size, last)

    def _count(self) -> int | None:
        """Returns how many batches an epoch has, where known."""
        size = self.sampler.batch_size
        if self._reads_its_own:
            count, total = self.shard.count, self.rows or 0
            own = size // count
            full, most = total // count // own, -(-total // count)
            return full if self.drop_remainder and full else -(-most // own)
        if self.sampler.positives is not None:
            pool = self.held if self.encoded is None else self.encoded.arrays
            if pool is None:
                return None
            return self.sampler.batches(np.arange(self.rows or 0), pool, self.drop_remainder)
        if self.rows is None:
            return None
        full, rest = divmod(self.rows, size)
        return full + (1 if rest and not (self.drop_remainder and full) else 0)

    def _split(self, arrays: Mapping[str, Any]) -> Any:
        if not self.labels:
            return (dict(arrays),)
        features = {name: values for name, values in arrays.items() if name not in self.targets}
        targets = {name: arrays[name] for name in self.label_names}
        return features, targets, arrays["sample_weight"]

    def _elements(self, features: dict[str, tf.TensorSpec]) -> Any:
        if not self.labels:
            return (features,)
        label = tf.TensorSpec([None], tf.float32)
        return features, dict.fromkeys(self.label_names, label), label


def _picking(forms: tuple[Any, Any], names: Sequence[str] | None) -> Callable[..., Any]:
    """Returns the function that makes a data set of rows by number; `names` are of labels.

    TensorFlow's default optimizations of data sets would copy the rows, which a map captures. What
    they would do here is said: the map runs in parallel.
    """
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False

    def program(number: Any, count: Any, features: Any, targets: Any) -> tf.data.Dataset:
        @tf.autograph.experimental.do_not_convert
        def pick_rows(at: tf.Tensor, factor: tf.Tensor) -> Any:
            picked = pick_held(features, forms[0], at)
            if names is None:
                return (picked,)
            given = pick_held(targets, forms[1], at)
            labels = {name: given[name] for name in names}
            return picked, labels, given["sample_weight"] * factor

        numbers = tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None], tf.float32)
        asked = yielded(number, numbers).unbatch()
        picked = asked.map(pick_rows, num_parallel_calls=tf.data.AUTOTUNE)
        return finished(picked, count).with_options(options)

    return program
