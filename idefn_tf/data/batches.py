"""Batches: deals the rows of a table or of files, raw or encoded, in an order that repeats."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from idefn_tf.schema import CLICK, CONVERSION

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns

Arrays = dict[str, np.ndarray]
#: What a batch holds beside features.
_TARGETS = (CLICK, CONVERSION, "sample_weight")


class EpochClock:
    """The epoch that a shuffled data set deals; set it to resume in the middle of a run.

    Every iteration over the data set deals the epoch that the clock shows and moves it on, unless
    `epoch` has been set by the training loop (`idefn_tf.callbacks.SetEpoch`).
    """

    def __init__(self, epoch: int = 0) -> None:
        self._next = epoch
        self._fixed: int | None = None

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration deals."""
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
    """Rows and the way they are dealt.

    Attributes:
        signature: of the raw features.
        batch_size: rows a batch.
        rows: how many there are, where known.
        held: all rows in memory, or None.
        chunks: gives the rows piece by piece, in an order drawn from the generator if there is
            one; used where `held` is None.
        shuffle, seed, clock: whether and in which order rows are dealt.
        drop_remainder: leaves out a last batch that is not full (never the only one).
        shuffle_rows: how many rows of chunks are mixed at a time.
        labels: whether rows have labels and a weight.
    """

    signature: dict[str, tf.TensorSpec]
    batch_size: int
    rows: int | None
    held: Arrays | None
    chunks: Callable[[np.random.Generator | None], Iterable[Arrays]]
    shuffle: bool
    seed: int
    clock: EpochClock
    drop_remainder: bool
    shuffle_rows: int
    labels: bool
    _encoded: weakref.WeakKeyDictionary = field(default_factory=weakref.WeakKeyDictionary)

    def dataset(self, layer: FeatureColumns | None = None) -> tf.data.Dataset:
        """Returns the batches as a data set, their features encoded if a layer is given.

        Rows in memory are encoded once and kept, so that later epochs only pick rows.
        """
        signature = self.signature if layer is None else layer.encoded_signature()
        dataset = tf.data.Dataset.from_generator(
            lambda: self.deal(layer), output_signature=self._elements(signature)
        )
        if self.rows is not None:
            full, rest = divmod(self.rows, self.batch_size)
            count = full + (1 if rest and not (self.drop_remainder and full) else 0)
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
        _ORIGINS[dataset] = self
        return dataset

    def deal(self, layer: FeatureColumns | None = None) -> Iterator[Any]:
        """Yields the batches of one epoch."""
        epoch = self.clock.start()
        rng = np.random.default_rng([self.seed, epoch]) if self.shuffle else None
        if self.held is not None:
            batches = pick(self._held(layer), self.batch_size, rng)
        else:
            chunks: Iterable[Arrays] = self.chunks(rng)
            if layer is not None:
                chunks = (encode_arrays(layer, chunk) for chunk in chunks)
            batches = mix(chunks, self.batch_size, rng, self.shuffle_rows)
        for i, arrays in enumerate(batches):
            short = len(next(iter(arrays.values()))) < self.batch_size
            if short and self.drop_remainder and i > 0:
                return
            yield self._split(arrays)

    def _held(self, layer: FeatureColumns | None) -> Arrays:
        held = self.held or {}
        if layer is None:
            return held
        if layer not in self._encoded:
            self._encoded[layer] = encode_arrays(layer, held)
        return self._encoded[layer]

    def _split(self, arrays: Arrays) -> Any:
        if not self.labels:
            return (dict(arrays),)
        features = {name: values for name, values in arrays.items() if name not in _TARGETS}
        targets = {name: arrays[name] for name in (CLICK, CONVERSION)}
        return features, targets, arrays["sample_weight"]

    def _elements(self, features: dict[str, tf.TensorSpec]) -> Any:
        if not self.labels:
            return (features,)
        label = tf.TensorSpec([None], tf.float32)
        return features, {CLICK: label, CONVERSION: label}, label


#: Where a data set of `Batches` came from; one that was mapped or filtered is no longer known.
_ORIGINS: weakref.WeakKeyDictionary[tf.data.Dataset, Batches] = weakref.WeakKeyDictionary()


def encode_dataset(dataset: tf.data.Dataset, layer: FeatureColumns) -> tf.data.Dataset:
    """Returns the data set with its features encoded by `layer`, as `layer.encode` would.

    A data set straight from `open_dataset` is dealt anew from encoded rows; any other is mapped.
    """
    origin = _ORIGINS.get(dataset)
    if origin is not None:
        return origin.dataset(layer)

    def encode(*element: Any) -> Any:
        encoded = layer.encode(element[0])
        return (encoded, *element[1:]) if len(element) > 1 else encoded

    return dataset.map(encode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def encode_arrays(layer: FeatureColumns, arrays: Arrays, rows: int = 65_536) -> Arrays:
    """Encodes features, some rows at a time; labels and weights are passed on.

    Args:
        layer: what encodes.
        arrays: raw features by name, and the targets.
        rows: how many at a time.
    """
    size = len(next(iter(arrays.values())))
    program = _encoder(layer)
    parts = []
    for start in range(0, max(size, 1), rows):
        raw = {n: tf.convert_to_tensor(arrays[n][start : start + rows]) for n in layer.raw_names}
        parts.append({name: tensor.numpy() for name, tensor in program(raw).items()})
    encoded = {
        name: parts[0][name] if len(parts) == 1 else np.concatenate([p[name] for p in parts])
        for name in parts[0]
    }
    return {**encoded, **{name: arrays[name] for name in _TARGETS if name in arrays}}


_ENCODERS: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _encoder(layer: FeatureColumns) -> Any:
    if layer not in _ENCODERS:
        # the function must not hold the layer, or it would never leave the dictionary
        refer = weakref.ref(layer)
        _ENCODERS[layer] = tf.function(
            lambda raw: refer().encode(raw),  # type: ignore[union-attr]
            autograph=False,
            reduce_retracing=True,
        )
    return _ENCODERS[layer]


def pick(held: Arrays, batch_size: int, rng: np.random.Generator | None) -> Iterator[Arrays]:
    """Yields batches of rows held in memory."""
    rows = len(next(iter(held.values())))
    order = None if rng is None else rng.permutation(rows)
    for start in range(0, rows, batch_size):
        if order is None:
            yield {name: values[start : start + batch_size] for name, values in held.items()}
        else:
            at = order[start : start + batch_size]
            yield {name: values.take(at, 0) for name, values in held.items()}


def mix(
    chunks: Iterable[Arrays], batch_size: int, rng: np.random.Generator | None, shuffle_rows: int
) -> Iterator[Arrays]:
    """Yields batches from chunks, every row once, holding about `shuffle_rows` rows at a time."""
    wanted = batch_size if rng is None else max(shuffle_rows, batch_size)
    held: list[Arrays] = []
    size = 0
    for chunk in itertools.chain(chunks, (None,)):
        if chunk is not None:
            held.append(chunk)
            size += len(next(iter(chunk.values())))
            if size < wanted:
                continue
        if not size:
            return
        pool = {n: np.concatenate([c[n] for c in held]) for n in held[0]} if held[1:] else held[0]
        # while more may come, half a shuffled pool stays to mix with it, and so does a part batch
        end = size
        if chunk is not None:
            end = size if rng is None else size - size // 2
            end -= end % batch_size
        order = np.arange(size) if rng is None else rng.permutation(size)
        for start in range(0, end, batch_size):
            at = order[start : min(start + batch_size, end)]
            yield {name: values.take(at, 0) for name, values in pool.items()}
        held = [{name: values.take(order[end:], 0) for name, values in pool.items()}]
        size -= end
