"""StreamLog: the rows of a log in memory, with the times by which they arrive."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data import to_arrays
from idefn_tf.data.feedback_labels import FeedbackLabels
from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.history.kept_history import read_priors
from idefn_tf.schema import (
    CLICK,
    CONVERSION,
    CONVERSION_DELAY,
    CONVERSION_FINAL,
    ELAPSED,
    FEEDBACK_LABELS,
    Schema,
)
from idefn_tf.schema.labels import EXPOSURE_TIME
from idefn_tf.schema.moments import per_second
from pipelines.preparation.prepared_folder import Prepared
from pipelines.streaming.arrivals import ALWAYS, Times

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class StreamLog:
    """Rows, in the order in which they came to be known.

    Attributes:
        schema: what the columns are.
        arrays: features, those of history as of each row's time among them, "click" and
            "sample_weight", by name.
        times: when things happened.
        as_of: the moment of the log's labels; None for rows that landed.
    """

    schema: Schema
    arrays: Arrays
    times: Times
    as_of: int | None = None

    @classmethod
    def of(cls, data: Prepared) -> StreamLog:
        """Reads all parts of a prepared log, in the order of exposures.

        Clicks are dated back from the labels of delays, to a fraction of a second.

        Raises:
            ValueError: if it does not tell when everything happened, or has hidden something.
        """
        schema, end = check_streams(data)
        tables = [data.table(part) for part in data.parts]
        table = pa.concat_tables(tables).sort_by([(EXPOSURE_TIME, "ascending")])
        arrays = to_arrays(schema, table, feedback=FeedbackLabels())
        shown = table[EXPOSURE_TIME].to_numpy()
        day = cls.units_a_day(schema)
        click = arrays[CLICK] > 0
        ago = np.round(arrays[ELAPSED].astype(np.float64) * day).astype(np.int64)
        clicked = np.where(click, np.maximum(end - ago, shown), shown)
        took = np.round(arrays[CONVERSION_DELAY].astype(np.float64) * day).astype(np.int64)
        final = click & (arrays[CONVERSION_FINAL] > 0)
        always = np.full(len(shown), ALWAYS)
        times = Times(day, shown, click, clicked, final, clicked + took, always, always)
        return cls(schema, without_labels(arrays), times, end)

    @staticmethod
    def units_a_day(schema: Schema) -> int:
        """Returns how many units of the schema's time a day has."""
        return 86_400 * per_second(schema.labels.time_unit)

    @property
    def hour(self) -> int:
        """Units an hour."""
        return self.times.day // 24

    @property
    def weight(self) -> np.ndarray:
        """What rows count in metrics: those of a sampled log stand for the full one."""
        return row_weights(self.schema, self.arrays)

    def __len__(self) -> int:
        return len(self.times.shown)

    def take(self, rows: np.ndarray) -> Arrays:
        """Returns features, click and weight of some rows."""
        return {name: values[rows] for name, values in self.arrays.items()}

    def part(self, rows: np.ndarray) -> StreamLog:
        """Returns some rows as a log of their own."""
        kept = {f.name: getattr(self.times, f.name)[rows] for f in fields(Times) if f.name != "day"}
        return replace(self, arrays=self.take(rows), times=Times(self.times.day, **kept))

    def undecided(self, rows: np.ndarray) -> int:
        """Counts the clicks among some rows that could still convert at the log's end.

        Without a window every click that has not converted could.
        """
        window, times = self.schema.labels.attribution, self.times
        if self.as_of is None:
            return 0
        silent = times.click[rows] & ~times.final[rows]
        if window is None:
            return int(silent.sum())
        opens = (times.clicked if window.from_ == "click" else times.shown)[rows]
        return int((silent & (opens + round(window.window_hours * self.hour) > self.as_of)).sum())

    def begins(self) -> int:
        """Returns the whole hour in which the first exposure lies."""
        return int(self.times.shown.min()) // self.hour * self.hour

    def joined(self, other: StreamLog) -> StreamLog:
        """Returns the log with further rows behind it."""
        arrays = {n: np.concatenate([v, other.arrays[n]]) for n, v in self.arrays.items()}
        both = {
            f.name: np.concatenate([getattr(self.times, f.name), getattr(other.times, f.name)])
            for f in fields(Times)
            if f.name != "day"
        }
        return replace(self, arrays=arrays, times=Times(self.times.day, **both))


def check_streams(data: Prepared) -> tuple[Schema, int]:
    """Returns the schema of a log that can be replayed, and the moment of its labels.

    Raises:
        ValueError: saying what is missing.
    """
    schema, immature = data.schema, data.card.get("immature", {})
    labels = schema.labels
    if not labels.delayed or "as_of" not in immature:
        raise ValueError(
            f"data: must hold the times of exposures, clicks and conversions, received "
            f"{data.place} with {[*labels.times]};\nname labels.exposure_time, click_time, "
            "conversion_time and attribution in the schema, and prepare the log again"
        )
    if "after_as_of" in immature:
        raise ValueError(
            f"data: must hold all that the log says, received {data.place}, prepared with --as-of "
            "before its end;\nprepare it without --as-of: the stream hides what is to come itself"
        )
    if labels.immature == "weight":
        raise ValueError(
            f"data: must be prepared with immature: keep or drop, received weight in {data.place}, "
            "which counts rows by their age at the log's end;\nchange labels.immature"
        )
    return schema, int(immature["as_of"])


def late_priors(data: Prepared, origin: int) -> str | None:
    """Says whether history's rates are drawn to a prior that was not known when the stream began.

    Args:
        data: the prepared log.
        origin: when the stream begins, in the schema's unit.

    Returns:
        None where there are no rates, or their prior is of an earlier log or of earlier rows.
    """
    schema = data.schema
    if not any(c.measure == "rate" for a in schema.past.aggregates for c in a.columns):
        return None
    of = data.parts[0]
    rows = data.table(of, [EXPOSURE_TIME, CLICK])
    own = np.isclose(read_priors(data.vocabularies)[CLICK], np.mean(rows[CLICK].to_numpy()))
    later = int((rows[EXPOSURE_TIME].to_numpy() >= origin).sum())
    if not own or not later:
        return None
    return (
        f"rates of history are drawn to the share among the rows of {of!r}, of which {later:,} of "
        f"{len(rows):,} come after the stream begins; prepare the log with a --split whose train "
        "ends there"
    )


def without_labels(arrays: Arrays) -> Arrays:
    """Returns the arrays without what a moment knows of conversions: arrivals say it."""
    told: Any = {CONVERSION, *FEEDBACK_LABELS}
    return {name: values for name, values in arrays.items() if name not in told}
