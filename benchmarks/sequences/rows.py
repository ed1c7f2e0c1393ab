"""Made exposures with behaviour sequences, alike for every library; needs NumPy alone.

Ids follow Zipf's law. An item has a topic; the more events of its topic a history holds, the
likelier is a click, so that an encoder that looks at the item has something to learn. Ids begin
at 1: the rivals pad with 0.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.training.rows import BATCH, RATE, TOWERS, WIDTH, Watch

#: Ids by feature, a million together.
SIZES = {"user": 298_960, "item": 700_000, "category": 1_000, "tab": 16, "hour": 24}
#: What an event consists of.
ITEMS = ("item", "category")
#: Events of a history in the mean, and at most where nothing else is said.
MEAN, LENGTH = 20, 50
#: Hidden layers of DIN's activation unit.
UNITS = (80, 40)
#: Batches of a timed stretch, and stretches, the first of which warms up.
STRETCH, STRETCHES = 20, 6
HELD_OUT = 50_000
_TOPICS = 8


@dataclass
class Made:
    """Rows.

    Attributes:
        columns: ids int32 [n] by feature.
        histories: ids int32 [n, K] by feature, oldest first, 0 behind the last event.
        lengths: events of each row, int32 [n].
        click: float32 [n].
        conversion: float32 [n], 0 where unclicked.
    """

    columns: dict[str, np.ndarray]
    histories: dict[str, np.ndarray]
    lengths: np.ndarray
    click: np.ndarray
    conversion: np.ndarray

    def part(self, start: int, end: int) -> Made:
        """Returns the rows from `start` to `end`."""
        return Made(
            {name: values[start:end] for name, values in self.columns.items()},
            {name: values[start:end] for name, values in self.histories.items()},
            self.lengths[start:end],
            self.click[start:end],
            self.conversion[start:end],
        )


def make(rows: int, length: int, seed: int = 0) -> Made:
    """Makes rows whose histories hold at most `length` events, `MEAN` of them in the mean.

    Args:
        rows: how many.
        length: of the padded form.
        seed: of everything drawn.
    """
    generator = np.random.default_rng(seed)
    columns = {name: _zipf(generator, rows, size) for name, size in SIZES.items()}
    columns["category"] = _category(columns["item"])
    lengths = _lengths(generator, rows, length)
    there = np.arange(length, dtype=np.int32) < lengths[:, None]
    events = np.zeros((rows, length), np.int32)
    events[there] = _zipf(generator, int(lengths.sum()), SIZES["item"])
    categories = np.where(there, _category(events), 0).astype(np.int32)
    topic = (columns["category"] % _TOPICS)[:, None]
    alike = ((categories % _TOPICS == topic) & there).sum(1) / np.maximum(lengths, 1)
    odds = -1.6 + 4.0 * alike
    for name in ("user", "item", "tab", "hour"):
        effect = generator.normal(0.0, 0.35, SIZES[name] + 1)
        odds += effect[columns[name]]
    click = generator.random(rows) < 1.0 / (1.0 + np.exp(-odds))
    conversion = click & (generator.random(rows) < 1.0 / (1.0 + np.exp(1.5 - 0.5 * odds)))
    return Made(
        columns,
        {"item": events, "category": categories},
        lengths,
        click.astype(np.float32),
        conversion.astype(np.float32),
    )


def task(length: int, stretches: int = STRETCHES) -> tuple[Made, Made]:
    """Returns the rows to train on and those held out."""
    train = BATCH * STRETCH * stretches
    made = make(train + HELD_OUT, length)
    return made.part(0, train), made.part(train, train + HELD_OUT)


class Clock(Watch):
    """Wall and processor seconds of every stretch.

    What else runs on the machine lengthens the first and hardly the second.
    """

    def __init__(self) -> None:
        super().__init__(STRETCH)
        self.processor = [time.process_time()]

    def start(self) -> None:
        """Begins here."""
        self.marks, self.processor = [time.perf_counter()], [time.process_time()]

    def batch(self, count: int = 1) -> None:
        """Counts batches that are done; `count` divides a stretch."""
        before = len(self.marks)
        super().batch(count)
        if len(self.marks) > before:
            self.processor.append(time.process_time())

    def result(self) -> dict[str, object]:
        """Returns what `Watch` does, the fastest stretch's step and the processor's time."""
        wall, spent = (
            np.diff(marks)[1:] / self.stretch * 1000 for marks in (self.marks, self.processor)
        )
        return {
            **super().result(),
            "best_step_ms": round(float(wall.min()), 2),
            "cpu_ms": round(float(np.median(spent)), 2),
        }


def _zipf(generator: np.random.Generator, rows: int, size: int) -> np.ndarray:
    drawn = np.exp(generator.random(rows) * np.log(size + 1)).astype(np.int32)
    return np.clip(drawn, 1, size)


def _category(items: np.ndarray) -> np.ndarray:
    spread = items.astype(np.int64) * 2_654_435_761 % 2**32
    return (1 + spread * SIZES["category"] // 2**32).astype(np.int32)


def _lengths(generator: np.random.Generator, rows: int, length: int) -> np.ndarray:
    """Draws how long histories are: exponential, cut at `length`, `MEAN` in the mean."""
    unit = generator.exponential(1.0, rows)
    scale = float(MEAN)
    for _ in range(60):
        scale *= MEAN / np.minimum(scale * unit, length).mean()
    return np.minimum(np.rint(scale * unit), length).astype(np.int32)


__all__ = ["BATCH", "ITEMS", "LENGTH", "RATE", "SIZES", "STRETCH", "TOWERS", "UNITS", "WIDTH"]
