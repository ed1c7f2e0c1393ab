"""History by loops over plain rows, one event at a time: what the fast ways must equal."""

from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

MISSING = (None, -1, "")
HOUR = 3600


def events_of(rows, schema):
    """What each row tells as an event, and from when: {event: time or None}, final times."""
    labels, history = schema.labels, schema.history
    window = labels.attribution
    lag = span(history.lag) or 0
    found = []
    for row in rows:
        shown = row.get(labels.exposure_time)
        if shown is None:
            continue
        click, conversion = bool(row[labels.click]), bool(row[labels.conversion])
        if history.conversion == "after_click":
            conversion = conversion and click
        clicked = (stated(row, labels.click_time, shown) if click else None) or shown
        final = begun = shown
        if window is not None:
            length = int(window.window_hours * HOUR)
            final = shown + length
            begun = (clicked if window.from_ == "click" else shown) + length
            if window.from_ == "click" and click and clicked <= final:
                final = begun
            came = row.get(labels.conversion_time) if labels.conversion_time else None
            conversion = conversion and (came is None or came <= begun)  # later is none
        unstated = clicked if window is None else begun
        converted = stated(row, labels.conversion_time, clicked) or unstated
        known = {
            "exposure": shown + lag,
            "click": clicked + lag if click else None,
            "conversion": converted + lag if conversion else None,
        }
        found.append((row, known, {"click": shown + lag, "conversion": final + lag}))
    return found


def stated(row, column, earliest):
    """The time in a cell, never before `earliest`; None without one."""
    value = None if column is None else row.get(column)
    return None if value is None else max(value, earliest)


def span(text):
    """Seconds of 6h or 2d; None of all time."""
    if text in (None, "all"):
        return None
    return int(text[:-1]) * {"h": HOUR, "d": 24 * HOUR}[text[-1]]


def moment(row, schema):
    """The row's as-of; -1 without a time, which sees nothing."""
    at = row.get(schema.labels.exposure_time)
    refresh = schema.history.refresh
    if at is None or refresh == "continuous":
        return -1 if at is None else at
    place = ZoneInfo(schema.labels.time_zone)
    if refresh == "hourly":  # zones of these tests stand whole or half hours from UTC
        return at - (at + int(datetime.fromtimestamp(at, place).utcoffset().seconds)) % HOUR
    day = datetime.fromtimestamp(at, place).date()
    return int(datetime(day.year, day.month, day.day, tzinfo=place).timestamp())


def history_of(rows, events, schema, priors):
    """A dict of every generated column for each row; lists oldest first."""
    # equal times follow each other by key and item: by what aggregates and sequences name, in turn
    named = sorted(
        (row for row in events if row.get(schema.labels.exposure_time) is not None),
        key=lambda row: (row[schema.labels.exposure_time], row["item"], row["user"]),
    )
    told = events_of(named, schema)
    return [_of_row(row, told, schema, priors) for row in rows]


def _of_row(row, told, schema, priors):
    now = moment(row, schema)
    made = {}
    for aggregate in schema.history.aggregates:
        own = [event for event in told if _same(event[0], row, aggregate.keys)]
        for column in aggregate.columns:
            width = span(column.window)
            made[column.name] = _number(own, column, width, now, aggregate, schema, priors)
    for sequence in schema.sequences:
        kind = {"exposed": "exposure", "clicked": "click", "converted": "conversion"}
        event = kind[sequence.condition]
        seen = [
            (known[event], place, past)
            for place, (past, known, _) in enumerate(told)
            if _same(past, row, (sequence.key,))
            and all(past[item] not in MISSING for item in sequence.items)
            and _within(known[event], now, None)
        ]
        last = sorted(seen, key=lambda found: found[:2])[-sequence.length :]
        for item in sequence.items:
            made[f"{sequence.name}__{item}"] = [past[item] for _, _, past in last]
        if sequence.gap_hours:
            made[sequence.gap] = [
                sum(now - at >= hours * HOUR for hours in sequence.gap_hours) for at, _, _ in last
            ]
    return made


def _number(own, column, width, now, aggregate, schema, priors):
    seen = [past for past, known, _ in own if _within(known[column.event], now, width)]
    if column.measure == "count":
        return len(seen)
    if column.measure == "sum":
        return float(sum(Fraction(past[aggregate.value] or 0) for past in seen))
    if column.measure == "hours_since":
        times = [k[column.event] for _, k, _ in own if _within(k[column.event], now, None)]
        return (now - max(times)) / HOUR if times else float("nan")
    shown = [past for past, _, final in own if _within(final[column.event], now, width)]
    hits = [
        past
        for past, known, final in own
        if known[column.event] is not None
        and _within(max(known[column.event], final[column.event]), now, width)
    ]
    smoothing, prior = schema.history.smoothing, priors[column.event]
    if not shown and not smoothing:
        return prior
    return (min(len(hits), len(shown)) + smoothing * prior) / (len(shown) + smoothing)


def _same(past, row, keys):
    return all(past[key] == row[key] and row[key] not in MISSING for key in keys)


def _within(at, now, width):
    return at is not None and at < now and (width is None or at >= now - width)
