"""Batch sampler: which rows make which batch, over any workers, with positives in each if asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from idefn_tf.schema import CONVERSION

Arrays = dict[str, np.ndarray]
#: The rows of a batch by number, and what their weights are multiplied by (None: by 1).
Indices = tuple[np.ndarray, "np.ndarray | None"]


@dataclass(frozen=True)
class Shard:
    """One of `count` workers, which take turns at the rows of every batch.

    All give the same batches in the same order, and worker `index` keeps rows index, index +
    count, ... of each: together they train on what one process would. Where a last batch does not
    come out even, a row of weight 0 makes up for the missing one, so that all have as many batches
    of one size.

    Attributes:
        index: which worker, from 0.
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    def part(self, indices: Indices) -> Indices:
        """Returns this worker's rows of a batch."""
        at, factor = indices
        if self.count == 1:
            return indices
        mine = slice(self.index, None, self.count)
        own = np.ones(len(at), np.float32) if factor is None else factor
        at_own, factor_own = at[mine], own[mine]
        if len(at_own) * self.count < len(at) or not len(at_own):  # a turn came round without me
            return np.append(at_own, at[:1]), np.append(factor_own, np.float32(0.0))
        return at_own, factor if factor is None else factor_own

    def rows(self, total: int) -> tuple[int, int]:
        """Returns the range of `total` rows that this worker reads where it reads its own."""
        return self.index * total // self.count, (self.index + 1) * total // self.count


@dataclass(frozen=True)
class BatchSampler:
    """Cuts an order of rows into batches.

    With `positives` each batch holds at least that many converted rows: a pool's positives are
    sampled again and again, its other rows once. Weights undo that: with the share p of positives
    among the pool's rows, a batch of B rows with m positives weighs them p B / m and the others
    (1 - p) B / (B - m), so that its weighted mean has the mean over the pool as its expectation,
    and its weights add up to B.

    Attributes:
        batch_size: rows a batch.
        positives: converted rows that each batch holds at least; None gives rows as they come.
    """

    batch_size: int
    positives: int | None = None

    def sample(
        self, order: np.ndarray, pool: Arrays, rng: np.random.Generator | None, last: bool
    ) -> tuple[list[Indices], np.ndarray]:
        """Samples the rows `order` of a pool.

        Args:
            order: their numbers.
            pool: holds "conversion" where positives are asked for.
            rng: shuffles the positives at every turn, if there is one.
            last: whether a part batch may be sampled, because no row follows.

        Returns:
            The batches, and the rows that did not fill one.
        """
        chosen = self._classes(order, pool)
        if chosen is None:
            end = len(order) if last else len(order) - len(order) % self.batch_size
            starts = range(0, end, self.batch_size)
            return [(order[s : s + self.batch_size], None) for s in starts], order[end:]
        positive, other, m = chosen
        others = self.batch_size - m
        full, rest = divmod(len(other), others)
        count = full + bool(last and rest)
        used = len(other) if last else full * others
        turns = -(-count * m // len(positive))
        drawn = [positive if rng is None else rng.permutation(positive) for _ in range(turns)]
        sampled = np.concatenate([*drawn, positive[:0]])
        reached = min(count * m, len(positive))  # the first turn has each of them once
        share = reached / (reached + used) if count else 0.0
        batches: list[Indices] = []
        for i in range(count):
            rows = other[i * others : min((i + 1) * others, used)]
            size = m + len(rows)
            factor = np.empty(size, np.float32)
            factor[:m], factor[m:] = share * size / m, (1.0 - share) * size / len(rows)
            batches.append((np.concatenate([sampled[i * m : (i + 1) * m], rows]), factor))
        if not count:
            return batches, order
        return batches, np.concatenate([other[used:], sampled[reached : len(positive)]])

    def batches(self, order: np.ndarray, pool: Arrays, full_only: bool = False) -> int:
        """Returns how many batches `sample` makes of all the rows of a pool.

        Args:
            order: the rows' numbers.
            pool: as in `sample`.
            full_only: leaves out a part batch, unless it is the only one.
        """
        chosen = self._classes(order, pool)
        rows, size = len(order), self.batch_size
        if chosen is not None:
            rows, size = len(chosen[1]), self.batch_size - chosen[2]
        return max(rows // size, 1) if full_only else -(-rows // size)

    def _classes(
        self, order: np.ndarray, pool: Arrays
    ) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Returns positives, others and how many positives a batch holds; None for plain batches.

        More positives than `positives` are sampled where they are that frequent, so that none is
        left out; where there is one class alone, or too few rows, there is nothing to balance.
        """
        if self.positives is None:
            return None
        mask = pool[CONVERSION][order] > 0
        positive, other = order[mask], order[~mask]
        natural = -(-self.batch_size * len(positive) // max(len(order), 1))
        m = max(self.positives, natural)
        if not len(positive) or not len(other) or m >= self.batch_size:
            return None
        return positive, other, m


def gather_rows(pool: Arrays, indices: Indices) -> Arrays:
    """Returns the rows of a batch, weighted."""
    at, factor = indices
    rows = {name: values.take(at, 0) for name, values in pool.items()}
    if factor is not None:
        rows["sample_weight"] = rows["sample_weight"] * factor
    return rows


def pick(
    held: Arrays, sampler: BatchSampler, rng: np.random.Generator | None, shard: Shard = Shard()
) -> Iterator[tuple[Arrays, bool]]:
    """Yields batches of rows held in memory, and whether each is full over all workers."""
    for indices, full in index_batches(held, sampler, rng, shard):
        yield gather_rows(held, indices), full


def index_batches(
    held: Arrays, sampler: BatchSampler, rng: np.random.Generator | None, shard: Shard = Shard()
) -> Iterator[tuple[Indices, bool]]:
    """Yields the numbers and factors of the rows that `pick` takes."""
    rows = len(next(iter(held.values())))
    order = np.arange(rows) if rng is None else rng.permutation(rows)
    for indices in sampler.sample(order, held, rng, last=True)[0]:
        yield shard.part(indices), len(indices[0]) >= sampler.batch_size


def grouped(sampled: Iterable[Indices], most: int = 64) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stacks up to `most` neighbours of one size, so that few pieces pass through Python.

    Yields:
        Row numbers int64 [n, B] and factors float32 [n, B], 1 where there are none.
    """
    for _, group in itertools.groupby(sampled, key=lambda indices: len(indices[0])):
        while some := list(itertools.islice(group, most)):
            factors = [np.ones(len(at), np.float32) if f is None else f for at, f in some]
            yield np.stack([at for at, _ in some]).astype(np.int64), np.stack(factors)


def mix(
    chunks: Iterable[Arrays],
    sampler: BatchSampler,
    rng: np.random.Generator | None,
    shuffle_rows: int,
    shard: Shard = Shard(),
) -> Iterator[tuple[Arrays, bool]]:
    """Yields batches from chunks, holding about `shuffle_rows` rows at a time; as `pick` does."""
    wanted = sampler.batch_size if rng is None else max(shuffle_rows, sampler.batch_size)
    if sampler.positives is not None:  # weights come from the pool's share of positives
        wanted = max(shuffle_rows, sampler.batch_size)
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
        order = np.arange(size) if rng is None else rng.permutation(size)
        # while more may come, half a shuffled pool stays to mix with it, and so does a part batch
        end = size if chunk is None or rng is None else size - size // 2
        batches, left = sampler.sample(order[:end], pool, rng, last=chunk is None)
        for indices in batches:
            yield gather_rows(pool, shard.part(indices)), len(indices[0]) >= sampler.batch_size
        order = np.concatenate([left, order[end:]])
        held = [{name: values.take(order, 0) for name, values in pool.items()}]
        size = len(order)


def level(
    batches: Iterable[tuple[Arrays, bool]], steps: int, batch_size: int, last: int
) -> Iterator[tuple[Arrays, bool]]:
    """Yields exactly `steps` batches, the last of `last` rows, filled up with rows of weight 0.

    Args:
        batches: those of a worker that reads rows of its own.
        steps: how many batches every worker gives.
        batch_size: rows of each but the last.
        last: rows of the last.
    """
    sampled, template = 0, None
    for rows, _ in itertools.islice(batches, steps):
        sampled += 1
        template = rows
        yield _filled(rows, last if sampled == steps else batch_size), True
    if template is not None and sampled < steps:
        none = {name: values[:1] for name, values in template.items()}
        none["sample_weight"] = np.zeros_like(none["sample_weight"])
        yield _filled(none, last), True


def _filled(rows: Arrays, size: int) -> Arrays:
    missing = size - len(next(iter(rows.values())))
    if missing <= 0:
        return rows
    filled = {n: np.concatenate([v, np.repeat(v[:1], missing, 0)]) for n, v in rows.items()}
    filled["sample_weight"][-missing:] = 0.0
    return filled
