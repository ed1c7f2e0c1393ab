"""Arrivals: which rows of a log a label likelihood gets to see, and when.

With w the wait of a likelihood and W its window, in a stream::

    an unclicked exposure   one first row, with its exposure
    a click                 a first row w after it, positive if the conversion has come by then
    a later conversion      a late row, when it comes
    a second look           W after a click without a late row, for likelihoods that revisit

Rows of late files come in the hour in which their file was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from idefn_tf.models.feedback import LabelLikelihood
from idefn_tf.models.feedback.likelihood import FIRST, LATE, REVISIT

#: Before every moment: rows that no file brought late.
ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Rule:
    """What a label likelihood reads of a stream.

    Attributes:
        kinds: the kinds of rows that it counts.
        wait: days until a click is a first row.
        window: days until a click is looked at again.
    """

    kinds: tuple[int, ...]
    wait: float = 0.0
    window: float = 0.0

    @classmethod
    def of(cls, likelihood: LabelLikelihood, name: str) -> Rule:
        """Reads the rule of a model's likelihood.

        Raises:
            ValueError: if it reads no streams.
        """
        check_reads_streams(type(likelihood), name)
        wait = float(getattr(likelihood, "wait", 0.0))
        window = float(likelihood.days) if REVISIT in likelihood.arrivals else 0.0
        return cls(tuple(likelihood.arrivals), wait, window)


@dataclass(frozen=True)
class Times:
    """When things happened, int64 [rows] in units of the schema, and whether, bool [rows].

    Attributes:
        day: units a day.
        shown: of the exposure.
        click: whether the row is clicked.
        clicked: of the click.
        final: whether a conversion is known in the end.
        converted: of the conversion.
        taken: the moment before which the row's file was not there.
        told: the same of the file that brought the conversion.
    """

    day: int
    shown: np.ndarray
    click: np.ndarray
    clicked: np.ndarray
    final: np.ndarray
    converted: np.ndarray
    taken: np.ndarray
    told: np.ndarray

    @property
    def delay(self) -> np.ndarray:
        """Days from click to conversion, float64, 0 where there is none."""
        return np.where(self.final, (self.converted - self.clicked) / self.day, 0.0)

    @property
    def exposed(self) -> np.ndarray:
        """When each exposure was there to be scored."""
        return np.maximum(self.shown, self.taken)

    def first(self, rule: Rule) -> np.ndarray:
        """When each row's first arrival is."""
        wait = round(rule.wait * self.day)
        happened = np.where(self.click, self.clicked + wait, self.shown)
        return np.maximum(happened, self.taken)

    def known(self) -> np.ndarray:
        """When each conversion is known."""
        return np.maximum(self.converted, np.maximum(self.taken, self.told))


@dataclass(frozen=True)
class Arrivals:
    """Rows in the order of their arrival; float32 labels in days.

    Attributes:
        at: when.
        row: which row of the log.
        kind: 0 first, 1 late, 2 second look.
        conversion, elapsed, delay: what is known then.
    """

    at: np.ndarray
    row: np.ndarray
    kind: np.ndarray
    conversion: np.ndarray
    elapsed: np.ndarray
    delay: np.ndarray

    def __len__(self) -> int:
        return len(self.at)

    def before(self, moment: int) -> int:
        """Counts the arrivals before a moment."""
        return int(np.searchsorted(self.at, moment, "left"))

    def part(self, start: int, end: int) -> Arrivals:
        """Returns the arrivals from number `start` to `end`."""
        return Arrivals(**{name: values[start:end] for name, values in vars(self).items()})

    def count(self) -> dict[str, int]:
        """Counts the rows of each kind."""
        named = (("first", FIRST), ("late", LATE), ("revisit", REVISIT))
        return {name: int((self.kind == kind).sum()) for name, kind in named}


def check_reads_streams(likelihood: type[LabelLikelihood], name: str) -> None:
    """Refuses a likelihood that is for one row a click alone.

    Raises:
        ValueError: naming it.
    """
    if FIRST not in likelihood.arrivals:
        raise ValueError(
            f"feedback: must be one that reads streams, received {name!r}; take another name, "
            "such as fnw, or train on prepared rows with pipelines.train"
        )


def arrivals(times: Times, rule: Rule) -> Arrivals:
    """Returns every arrival of a log, in the order of time, kind and row.

    Args:
        times: of the log's rows.
        rule: of the likelihood.
    """
    first, known, delay = times.first(rule), times.known(), times.delay
    wait = round(rule.wait * times.day)
    converts = times.click & times.final
    soon = converts & (times.converted - times.clicked <= wait) & (known <= first)
    found = [
        _rows(first, np.full(len(first), True), FIRST, soon, rule.wait * times.click,
              np.minimum(delay, rule.wait)),
    ]  # fmt: skip
    late, comes = converts & ~soon, np.maximum(known, first)
    if LATE in rule.kinds:
        found.append(_rows(comes, late, LATE, late, np.maximum(delay, rule.wait), delay))
    if REVISIT in rule.kinds:
        again = np.maximum(times.clicked + round(rule.window * times.day), first)
        silent = times.click & ~(late & (comes <= again))
        elapsed = np.full(len(first), rule.window)
        found.append(_rows(again, silent, REVISIT, soon, elapsed, delay))
    joined = {n: np.concatenate([getattr(part, n) for part in found]) for n in vars(found[0])}
    order = np.lexsort((joined["row"], joined["kind"], joined["at"]))
    return Arrivals(**{name: values[order] for name, values in joined.items()})


def as_known(times: Times, rule: Rule, moment: int) -> Arrivals:
    """Returns one row an exposure, as known at a moment: those whose first arrival came before it.

    Args:
        times: of the log's rows.
        rule: of the likelihood.
        moment: when.
    """
    there = times.first(rule) < moment
    known = times.click & times.final & (times.known() < moment)
    elapsed = np.where(times.click, (moment - times.clicked) / times.day, 0.0)
    return _rows(times.first(rule), there, FIRST, known, elapsed, times.delay)


def _rows(
    at: np.ndarray, there: np.ndarray, kind: int, y: np.ndarray, elapsed: Any, delay: np.ndarray
) -> Arrivals:
    row = np.flatnonzero(there)
    return Arrivals(
        at[row],
        row,
        np.full(len(row), kind, np.int8),
        y[row].astype(np.float32),
        elapsed[row].astype(np.float32),
        np.where(y, delay, 0.0)[row].astype(np.float32),
    )
