"""Batches: the rows of a table or of files, raw or encoded, in an order that repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

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
from idefn_tf.data.held_rows import HeldRows, joined, trimmed
from idefn_tf.schema import CLICK, CONVERSION

#: Gives the rows of a range, in an order drawn from the generator if there is one.
Span: TypeAlias = Callable[[np.random.Generator | None, int, int], Iterable[Arrays]]


class Encoder(Protocol):
    """What turns raw features into what a model's tables read, as `FeatureColumns` does.

    Example:
        >>> from idefn_tf.data import open_dataset
        >>> class Prices:
        ...     raw_names = ("price",)
        ...     def encode(self, features):
        ...         return {"rows": {}, "coefficients": {}, "numbers": features["price"][:, None]}
        >>> encoded, *_ = next(iter(open_dataset(schema, table, batch_size=8, encode=Prices())))
        >>> sorted(encoded), encoded["numbers"].shape.as_list()
        (['coefficients', 'numbers', 'rows'], [8, 1])
    """

    @property
    def raw_names(self) -> Sequence[str]:
        """Names of the raw features that `encode` reads."""
        ...

    def encode(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the encoded features of a batch, dicts of tensors in dicts."""
        ...


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
        encode: what encodes the features; None leaves them raw.
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

        Rows in memory are encoded here, once, so that epochs only pick rows. A stream is encoded
        batch by batch in the pipeline (TensorFlow code inside a generator could deadlock).
        """
        if self.encode is not None and self.held is not None:
            dataset = self._picked(self.encode, self.held)
        else:
            dataset = tf.data.Dataset.from_generator(
                lambda: self.sample(self.held), output_signature=self._elements(self.signature)
            )
        if (count := self._count()) is not None:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
        if self.encode is not None and self.held is None:
            return encode_dataset(dataset, self.encode, self.keep)
        return dataset

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

    def _picked(self, layer: Encoder, held: Arrays) -> tf.data.Dataset:
        """Batches encoded rows: Python draws their numbers, TensorFlow picks them."""
        encoded = HeldRows(encode_arrays(layer, held, self.keep))
        size = len(next(iter(held.values())))
        targets = {name: held[name] for name in self.targets}
        given = HeldRows(targets)
        # raw features are not read any more; without labels something must have as many rows
        held = self.held = targets or {"": np.empty(size, bool)}

        def sample() -> Iterator[Any]:
            sampled = self._wanted(index_batches(held, self.sampler, self._begin(), self.shard))
            yield from grouped(sampled)

        def pick_rows(at: tf.Tensor, factor: tf.Tensor) -> Any:
            features, rows = encoded.pick(at), given.pick(at)
            if not self.labels:
                return (features,)
            labels = {name: rows[name] for name in self.label_names}
            return features, labels, rows["sample_weight"] * factor

        numbers = tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None], tf.float32)
        some = tf.data.Dataset.from_generator(sample, output_signature=numbers)
        return some.unbatch().map(pick_rows)

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
            if self.held is None:
                return None
            return self.sampler.batches(np.arange(self.rows or 0), self.held, self.drop_remainder)
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


def encode_dataset(
    dataset: tf.data.Dataset, layer: Encoder, keep: Sequence[str] = ()
) -> tf.data.Dataset:
    """Returns the data set with its features encoded by `layer`, batch by batch.

    It does so in every epoch; `open_dataset` with ``encode=layer`` encodes rows in memory once.

    Args:
        dataset: of (features,), (features, labels, sample_weight) or features alone.
        layer: what encodes.
        keep: raw features that stay beside the encoded ones.

    Example:
        >>> from idefn_tf.data import encode_dataset
        >>> encoded = next(iter(encode_dataset(data, features)))[0]
        >>> sorted(encoded), encoded["rows"]["4"].shape.as_list()
        (['coefficients', 'numbers', 'rows'], [8, 2])
    """

    def encode(*element: Any) -> Any:
        encoded = {**{name: element[0][name] for name in keep}, **layer.encode(element[0])}
        return (encoded, *element[1:]) if len(element) > 1 else encoded

    return dataset.map(encode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def encode_arrays(
    layer: Encoder, arrays: Arrays, keep: Sequence[str] = (), rows: int = 65_536
) -> dict[str, Any]:
    """Encodes features, some rows at a time.

    Args:
        layer: what encodes.
        arrays: raw features by name.
        keep: raw features that stay beside the encoded ones.
        rows: how many at a time.

    Returns:
        What the layer gives for all rows, as `HeldRows` takes it.
    """
    size = len(next(iter(arrays.values())))
    program = tf.function(layer.encode, autograph=False, reduce_retracing=True)
    parts = []
    for start in range(0, max(size, 1), rows):
        raw = {n: tf.convert_to_tensor(arrays[n][start : start + rows]) for n in layer.raw_names}
        parts.append(tf.nest.map_structure(trimmed, program(raw)))
    encoded = tf.nest.map_structure(joined, *parts)
    return {**{name: arrays[name] for name in keep}, **encoded}
