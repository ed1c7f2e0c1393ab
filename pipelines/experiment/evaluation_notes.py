"""What an evaluation says beside its numbers: its weights, and whether training saw the rows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pipelines.cli.console import Console

_SPAN = re.compile(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)")
#: Odds of a click that lie so far from the training rows' are not those of the same log.
_FACTOR = 1.5
#: Standard deviations within which the odds of so few rows may lie by chance.
_CHANCE = 3.0
_SHOWN = 10


def say_weights(
    card: Mapping[str, Any],
    keep_rate: float,
    counts: tuple[int, int],
    whole_log: bool,
    console: Console,
) -> None:
    """Says how a down-sampled run's evaluation weighs rows, and warns where they look otherwise.

    Args:
        card: the run's data card.
        keep_rate: w, the share of unclicked rows that the run's log kept.
        counts: rows and clicks of the table that is evaluated.
        whole_log: whether it is said to hold every row, so that each counts once.
        console: where to say it.
    """
    if keep_rate >= 1:
        if whole_log:
            console.note("--whole-log: the run's log was not down-sampled; rows count once anyway")
        return
    if whole_log:
        console.note("weights: every row counts once (--whole-log)")
    else:
        console.note(
            f"weights: an unclicked row counts {1 / keep_rate:g} times, since the log is taken to "
            f"be down-sampled as the run's was (labels.negative_keep_rate {keep_rate:g})"
        )
    trained = card.get("splits", {}).get("train", {})
    then, now = _log_odds(trained.get("rows"), trained.get("clicks")), _log_odds(*counts)
    if then is None or now is None:
        return
    # a whole log has w times the odds of a down-sampled one
    expected = then[0] + (math.log(keep_rate) if whole_log else 0.0)
    away = (expected - now[0]) * (-1.0 if whole_log else 1.0)  # towards the other kind of log
    limit = max(math.log(_FACTOR), -math.log(keep_rate) / 2)
    if away <= limit or away - limit <= _CHANCE * math.hypot(then[1], now[1]):
        return
    now_share, then_share = counts[1] / counts[0], trained["clicks"] / trained["rows"]
    shares = f"{now_share:.2%} of the rows are clicked, {then_share:.2%} in training"
    if whole_log:
        console.warn(f"{shares}: this log looks down-sampled, too; leave --whole-log out if it is")
    else:
        console.warn(
            f"{shares}: this log looks as if nothing was taken out of it; give --whole-log if so, "
            "or its unclicked rows count too often"
        )


def say_seen(card: Mapping[str, Any], data: Mapping[str, Any], part: str, console: Console) -> None:
    """Warns of rows that lie in the run's days of training.

    Args:
        card: the run's data card.
        data: the card of the rows that are evaluated.
        part: which part of them.
        console: where to say it.
    """
    trained = _span(card.get("days", {}).get("train"))
    words = "the numbers are flattered; take later rows to know how good the model is"
    if trained is not None and (seen := [d for d in _days(data, part) if _within(d, trained)]):
        days = ", ".join(str(day) for day in seen[:_SHOWN])
        more = f" and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else ""
        console.warn(f"{part}: holds days that the run was trained on, {days}{more}; {words}")
        return
    if part not in ("all", "train") or trained is not None:
        return
    known = {source["sha256"] for source in card.get("sources", ())}
    same = [source["file"] for source in data.get("sources", ()) if source["sha256"] in known]
    if same:
        console.warn(f"{part}: the run was trained on rows of {', '.join(same)}; {words}")


def _log_odds(rows: int | None, clicks: int | None) -> tuple[float, float] | None:
    """The logarithm of the odds of a click and its standard deviation, where both classes are."""
    if not rows or not clicks or clicks >= rows:
        return None
    return math.log(clicks / (rows - clicks)), math.sqrt(1 / clicks + 1 / (rows - clicks))


def _span(text: Any) -> tuple[date, date] | None:
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else (date.fromisoformat(match[1]), date.fromisoformat(match[2]))


def _within(day: date, span: tuple[date, date]) -> bool:
    return span[0] <= day <= span[1]


def _days(data: Mapping[str, Any], part: str) -> Sequence[date]:
    """The days of a part: those found, or those of its span."""
    if found := data.get("days_found"):
        return [date.fromisoformat(day) for day in found]
    span = _span(data.get("days", {}).get(part))
    if span is None:
        return []
    return [date.fromordinal(day) for day in range(span[0].toordinal(), span[1].toordinal() + 1)]
