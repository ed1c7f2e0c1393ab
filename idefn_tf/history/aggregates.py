"""Aggregates: counts, smoothed rates, sums and hours since the last, as of each row's moment.

A window w holds the events that became known at as-of - w or later, and before as-of. Counts are
differences of running sums over the sorted stream, in whole numbers: later events change no bit.

::

    rate = (events + smoothing * prior) / (exposures + smoothing)

over the exposures whose outcome had become final in the window. An event counts from when its
exposure is final and itself known: with an attribution window that is one moment for converted and
other exposures alike, so that both have equal maturity (`outcome_times`). A rate is at most 1.

Source: smoothing with a prior is that of Micci-Barreca, SIGKDD Explorations 3(1), 2001, eq. (4).
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np

from idefn_tf.history.as_of import span, units
from idefn_tf.history.event_kinds import EventKinds
from idefn_tf.history.event_log import RATED, EventLog
from idefn_tf.history.lookback import Lookback
from idefn_tf.schema import Schema
from idefn_tf.schema.history import HistoryColumn

#: Share of exposures with each event, by event.
Priors = Mapping[str, float]


def learn_priors(events: EventLog) -> dict[str, float]:
    """Returns the share of exposures with a click and with a conversion; 0 of no exposure.

    Args:
        events: the exposures of training days, outcomes final.
    """
    return {
        event: float(np.mean(events.happened[event])) if len(events) else 0.0 for event in RATED
    }


def check_priors(priors: Priors) -> None:
    """Refuses priors that are not two shares.

    Raises:
        ValueError: naming the event.
    """
    for event in RATED:
        value = priors.get(event)
        if not isinstance(value, Real) or not 0.0 <= value <= 1.0:
            raise ValueError(
                f"priors[{event!r}]: must be a share of exposures between 0 and 1, received "
                f"{value!r};\ngive both, {list(RATED)}, as shares of training rows"
            )


def aggregate_columns(
    schema: Schema,
    events: EventLog,
    keys: Mapping[str, np.ndarray],
    moments: np.ndarray,
    priors: Priors,
) -> dict[str, np.ndarray]:
    """Returns the columns of every aggregate, float32 [n], by name.

    Args:
        schema: says which.
        events: all of them, later ones too.
        keys: of the rows, by feature.
        moments: the rows' as-of, int64 [n].
        priors: what rates are drawn to.
    """
    aggregates = schema.past.aggregates
    if not aggregates:
        return {}
    kinds = EventKinds.of(events)
    made: dict[str, np.ndarray] = {}
    for names in dict.fromkeys(aggregate.keys for aggregate in aggregates):
        looks = Lookback.of(events, kinds, keys, moments, names)
        for aggregate in aggregates:
            if aggregate.keys == names:
                for column in aggregate.columns:
                    made[column.name] = _column(schema, looks, column, aggregate.value, priors)
    return {column.name: made[column.name] for a in aggregates for column in a.columns}


def _column(
    schema: Schema, looks: Lookback, column: HistoryColumn, value: str | None, priors: Priors
) -> np.ndarray:
    """Returns one aggregate of every row."""
    width, event = span(column.window, schema.labels), column.event
    if column.measure == "count":
        found = looks.counts((event, "known"), width).astype(np.float64)
    elif column.measure == "sum":
        found = looks.sums((event, "known"), width, str(value))
    elif column.measure == "hours_since":
        found = looks.since((event, "known")) / (3600.0 * units(schema.labels))
    else:
        smoothing, prior = schema.past.smoothing, priors[event]
        shown = looks.counts((event, "final"), width)
        hits = np.minimum(looks.counts((event, "hit"), width), shown)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (hits + smoothing * prior) / (shown + smoothing)
        found = np.where(shown + smoothing > 0, found, prior)
    return found.astype(np.float32)
