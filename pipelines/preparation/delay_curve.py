"""Delay curve: how many of the conversions that will come have come after 1 hour, 6 hours, a day.

Of conversions known so far the share that came within an hour is too high: of young clicks only
the fast ones are there. A conversion is seen only if its delay is at most the time since its click,
which is right truncation, and its product-limit estimator runs backwards in time: with n_j
conversions of delay u_j, and R_j of those with a delay up to u_j whose click was watched for u_j or
longer::

    F(t) = product over u_j > t of (1 - n_j / R_j)

It is the share among conversions that come within the longest time watched, or the attribution
window where that is shorter. It reads conversions alone, so that a conversion rate which moved over
the log does not bend it, as it would bend Kaplan and Meier's estimator over clicks; delays
themselves are taken to be the same for old and young clicks.

Source: Lagakos, Barraj and De Gruttola, Nonparametric analysis of truncated survival data, with
application to AIDS, Biometrika 75, 1988; Woodroofe, Annals of Statistics 13, 1985.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from idefn_tf.schema import CONVERSION_DELAY, ELAPSED, Labels
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.known_labels import FINAL

#: After how many hours the card tells the shares.
HOURS = (1, 6, 24, 72, 168)
_BATCH_ROWS = 262_144


@dataclass(frozen=True)
class Curve:
    """An estimated distribution of delays.

    Attributes:
        delays: distinct, rising, [m].
        shares: F at each of them, [m]; the last is 1.
    """

    delays: np.ndarray
    shares: np.ndarray

    def __call__(self, time: Any) -> np.ndarray:
        """Returns F at each time."""
        at = np.searchsorted(self.delays, time, side="right")
        return np.concatenate([[0.0], self.shares])[at]


def estimate(delay: np.ndarray, watched: np.ndarray) -> Curve:
    """Estimates the distribution of delays from conversions known so far.

    Where only one delay is at risk the product would be 0 below it, for nothing links what is
    above to what is below: the part with most of the conversions is taken then.

    Args:
        delay: of each conversion, from its click, [n].
        watched: from its click to the moment at which conversions were counted, [n].

    Raises:
        ValueError: if there is none, or one has a delay longer than its click was watched.
    """
    if not len(delay) or (delay > watched).any():
        raise ValueError(
            "delay: must hold conversions, none of them later than its click was watched, received "
            f"{len(delay)} of which {int((delay > watched).sum())} are; leave those out"
        )
    delays, counts = np.unique(delay, return_counts=True)
    at_risk = np.cumsum(counts) - np.searchsorted(np.sort(watched), delays, side="left")
    for cut in np.flatnonzero(counts == at_risk)[::-1]:
        below = counts[:cut].sum()
        if 2 * below >= counts.sum() and cut:
            delays, counts, at_risk = delays[:cut], counts[:cut], at_risk[:cut]
    factors = 1.0 - counts / at_risk
    shares = np.append(np.cumprod(factors[:0:-1])[::-1], 1.0)
    return Curve(delays, shares)


def describe(engine: Engine, rows: ir.Table, labels: Labels) -> dict[str, Any]:
    """Describes the delays of train and validation, or of all rows where nothing was split.

    Args:
        engine: hands over delays.
        rows: with the columns of delays, and `part`.
        labels: state the window.

    Returns:
        For the card: "conversions" with a delay; "known_after_hours", their shares; "estimated_
        after_hours", those of all that will come (None beyond what was watched); "watched_hours",
        the longest; "not_yet_known", the estimated share of these clicks' conversions that is
        still to come, if young and old clicks convert alike. Nothing without times.
    """
    if not labels.delayed:
        return {}
    own = rows.filter((rows["part"] != FINAL) & rows[ELAPSED].notnull())
    some = own.filter(own[CONVERSION_DELAY].notnull())
    asked = some.select(delay=some[CONVERSION_DELAY], watched=some[ELAPSED])
    batches = list(engine.batches(asked, _BATCH_ROWS))
    table = pa.Table.from_batches(batches, asked.schema().to_pyarrow())
    hour = (own[ELAPSED].cast("float64") * 24.0).floor().cast("int64")
    with translated_errors("counting clicks by their age"):
        ages = own.group_by(hour=hour).aggregate(clicks=own.count()).order_by("hour").to_pyarrow()
    clicks = (ages["hour"].to_numpy() + 0.5) / 24, ages["clicks"].to_numpy()
    return shares(table["delay"].to_numpy(), table["watched"].to_numpy(), clicks, labels)


def shares(
    delay: np.ndarray, watched: np.ndarray, clicks: tuple[np.ndarray, np.ndarray], labels: Labels
) -> dict[str, Any]:
    """Returns what `describe` says of delays in days.

    Args:
        delay: of each conversion, [n].
        watched: since its click, [n].
        clicks: ages of clicks, and how many clicks have each.
        labels: state the window.
    """
    found: dict[str, Any] = {"conversions": len(delay)}
    if not len(delay):
        return found
    curve = estimate(delay, watched)
    longest, window = float(watched.max()), labels.attribution
    closed = window is not None and window.window_hours / 24 <= longest
    days = {hours: np.float32(hours / 24) for hours in HOURS}
    known = {str(h): float((delay <= d).mean()) for h, d in days.items()}
    told = {str(h): float(curve(d)) if closed or d <= longest else None for h, d in days.items()}
    return {
        **found,
        "known_after_hours": known,
        "estimated_after_hours": told,
        "watched_hours": longest * 24,
        "not_yet_known": 1.0 - float(np.average(curve(clicks[0]), weights=clicks[1])),
    }
