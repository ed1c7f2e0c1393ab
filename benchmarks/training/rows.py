"""Made exposures for the training benchmark, alike for every library; needs NumPy alone.

Ids follow Zipf's law within each field, as they do in logs: a few are everywhere, most are rare.
Every id shifts the log-odds of a click, and of a conversion after it, so that there is something
to learn.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import numpy as np

#: The task of every library: fields, dimension, towers, batch, learning rate of Adam.
FIELDS, WIDTH, TOWERS, BATCH, RATE = 20, 16, (160, 80), 2048, 1e-3
#: Batches of one timed stretch, and how many stretches; the first of them warms up.
STRETCH, STRETCHES = 80, 6
#: Steps that Keras takes between two returns to Python, for every library on Keras.
STEPS_PER_EXECUTION = 10
#: Rows that no library trains on.
HELD_OUT = 100_000


@dataclass
class Made:
    """Rows: ids int32 [n, FIELDS], click and conversion float32 [n] (0 where unclicked)."""

    ids: np.ndarray
    click: np.ndarray
    conversion: np.ndarray

    def part(self, start: int, end: int) -> Made:
        """Returns the rows from `start` to `end`."""
        return Made(self.ids[start:end], self.click[start:end], self.conversion[start:end])

    def columns(self, dtype: str = "int64") -> dict[str, np.ndarray]:
        """Returns the ids by field name."""
        return {f"f{i}": np.ascontiguousarray(self.ids[:, i]).astype(dtype) for i in range(FIELDS)}


def make(rows: int, table_rows: int, seed: int = 0) -> Made:
    """Makes rows over `table_rows` ids, as many in each field.

    Args:
        rows: how many.
        table_rows: ids of all fields together.
        seed: of everything drawn.
    """
    generator = np.random.default_rng(seed)
    size = table_rows // FIELDS
    ids = np.empty((rows, FIELDS), np.int32)
    click_odds, conversion_odds = np.full(rows, -1.3, np.float32), np.full(rows, -1.9, np.float32)
    for field in range(FIELDS):
        drawn = np.exp(generator.random(rows) * np.log(size + 1)).astype(np.int32) - 1
        ids[:, field] = np.minimum(drawn, size - 1)
        effect = generator.normal(0.0, 0.35, (2, size)).astype(np.float32)
        click_odds += effect[0][ids[:, field]]
        conversion_odds += (0.5 * effect[0] + effect[1])[ids[:, field]]
    click = generator.random(rows) < 1.0 / (1.0 + np.exp(-click_odds))
    conversion = click & (generator.random(rows) < 1.0 / (1.0 + np.exp(-conversion_odds)))
    return Made(ids, click.astype(np.float32), conversion.astype(np.float32))


def task(table_rows: int) -> tuple[Made, Made]:
    """Returns the rows to train on and those held out."""
    train = BATCH * STRETCH * STRETCHES
    made = make(train + HELD_OUT, table_rows)
    return made.part(0, train), made.part(train, train + HELD_OUT)


def distinct(made: Made) -> int:
    """Returns how many rows of the table a batch touches, in the mean over ten batches."""
    batches = made.ids[: 10 * BATCH].reshape(10, BATCH, FIELDS)
    counts = [sum(len(np.unique(b[:, i])) for i in range(FIELDS)) for b in batches]
    return round(float(np.mean(counts)))


class Watch:
    """Seconds of every stretch of batches, the first of which is set apart."""

    def __init__(self, stretch: int = STRETCH) -> None:
        self.stretch, self.batches, self.marks = stretch, 0, [time.perf_counter()]

    def batch(self, count: int = 1) -> None:
        """Counts batches that are done; `count` divides a stretch."""
        self.batches += count
        if self.batches % self.stretch == 0:
            self.marks.append(time.perf_counter())

    def result(self) -> dict[str, object]:
        """Returns first and later stretches in seconds and the samples per second of the latter."""
        seconds = np.diff(self.marks)
        speed = BATCH * self.stretch / seconds[1:]
        return {
            "samples_per_second": round(float(np.median(speed))),
            "samples_per_second_of_stretches": [round(float(s)) for s in speed],
            "step_ms": round(float(np.median(seconds[1:])) / self.stretch * 1000, 2),
            "first_stretch_seconds": round(float(seconds[0]), 2),
            "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }


def aucs(held_out: Made, ctr: np.ndarray, ctcvr: np.ndarray) -> dict[str, float]:
    """Returns the AUC of a library's two outputs on the rows held out."""
    return {
        "ctr_auc": round(auc(held_out.click, ctr), 4),
        "ctcvr_auc": round(auc(held_out.conversion, ctcvr), 4),
    }


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """The Mann-Whitney form; scores are continuous, so ties do not matter here."""
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    positives = float(label.sum())
    negatives = len(label) - positives
    return (float(rank[label > 0].sum()) - positives * (positives + 1) / 2) / positives / negatives
