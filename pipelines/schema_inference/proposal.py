"""A schema proposed from a table, with a reason for everything in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from idefn_tf.schema import RESERVED, Schema
from idefn_tf.schema.labels import EXPOSURE_TIME
from pipelines.schema_inference import event_times
from pipelines.schema_inference import label_columns as labels
from pipelines.schema_inference.column_sides import find_keys, find_side
from pipelines.schema_inference.event_times import EventTime
from pipelines.schema_inference.feature_choice import choose
from pipelines.schema_inference.leaks import find_leak
from pipelines.schema_inference.profile import Profile, profile

#: Below so many rows kinds and sides are mostly chance.
_FEW_ROWS = 200
#: Raw columns that preparation makes itself.
_TAKEN = ("row_id", "day", "part")


@dataclass(frozen=True)
class Guess:
    """What a column was taken for.

    Attributes:
        column: the raw column.
        role: "click", "conversion", "time", "feature" or "left out".
        what: in short, such as "user, vocabulary".
        why: the reason.
        warning: something to look at, or "".
        entry: the feature's entry in the schema, or None.
        never: whether it belongs to `never_features`.
    """

    column: str
    role: str
    what: str
    why: str
    warning: str = ""
    entry: dict[str, Any] | None = None
    never: bool = False


@dataclass
class Proposal:
    """A proposed schema.

    Attributes:
        name: of the data set.
        rows: rows looked at.
        labels: the schema's labels.
        guesses: one a column, in the order of the table.
        user_key: the feature that GAUC groups by, or None.
        item_key: the feature that identifies the item, or None.
        warnings: what to look at before training, beside the guesses' own.
    """

    name: str
    rows: int
    labels: dict[str, Any]
    guesses: list[Guess]
    user_key: str | None
    warnings: list[str] = field(default_factory=list)
    item_key: str | None = None

    def schema(self) -> Schema:
        """Returns the schema itself."""
        return Schema.parse(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Returns the schema as plain values."""
        value: dict[str, Any] = {"name": self.name, "labels": self.labels}
        if self.user_key:
            value["user_key"] = self.user_key
        value["never_features"] = [g.column for g in self.guesses if g.never]
        value["features"] = [g.entry for g in self.guesses if g.entry is not None]
        return value


def propose(
    table: pa.Table,
    click: str,
    conversion: str,
    time: str | None = None,
    user: str | None = None,
    name: str = "table",
    item: str | None = None,
) -> Proposal:
    """Proposes a schema.

    Args:
        table: a sample of exposures, clicked and unclicked.
        click: the click column, 0 or 1.
        conversion: the conversion column, 0 or 1.
        time: the column with the time of the exposure; looked for by default.
        user: the column that identifies the user; looked for by default.
        name: of the data set.
        item: the column that identifies the item; looked for by default.

    Returns:
        The proposal.

    Raises:
        ValueError: if a column is not there, a label is no label, or no feature is left.
    """
    known = table.column_names
    for given, option in ((click, "--click"), (conversion, "--conversion"), (time, "--time")):
        if given is not None:
            labels.require(given, option, known)
    for given, option in ((user, "--user"), (item, "--item")):
        if given is not None:
            labels.require(given, option, known)
    if click == conversion:
        raise ValueError(f"--conversion: must be another column than --click, received {click!r}")
    profiles = {column: profile(column, table[column]) for column in known}
    clicks = labels.label(profiles[click], "--click")
    conversions = labels.label(profiles[conversion], "--conversion")
    labels.check_presence(profiles[click], clicks, profiles[conversion])
    warnings = _label_warnings(clicks, conversions)
    free = [p for p in profiles.values() if p.name not in (click, conversion, time)]
    leaks = {p.name: find_leak(p, clicks, conversions) for p in free}
    clean = [p for p in free if (leak := leaks[p.name]) is None or not leak.certain]
    when, said = _time(profiles, time, clean)
    if when is None and (other := labels.find_time(clean)) is not None:
        warnings.append(
            f"{other.name!r} looks like the time of the exposure, and preparation keeps that name "
            "to itself: rename the column, for a split like production's"
        )
    elif when is None:
        warnings.append(
            "no column holds the time of the exposure, so preparation will draw validation and "
            "test rows at random; give --time if there is one, for a split like production's"
        )
    timed = _event_times(free, when, clicks, conversions)
    warnings += [f"{found.column.name!r} {found.fault}" for found in timed.values() if found.fault]
    timed = {event: found for event, found in timed.items() if not found.fault}
    told = {found.column.name: (event, found.why) for event, found in timed.items()}
    candidates = [p for p in clean if p.name not in told and (when is None or p.name != when.name)]
    keys = find_keys(candidates, user, item)
    if keys.user is None:
        warnings.append(
            "no column identifies the user: GAUC is left out, intervals are over rows; give --user "
            "if there is one"
        )
    if keys.item is None:
        warnings.append(
            "no column identifies the item; sides are guessed by name and user alone; give --item "
            "if there is one"
        )
    guesses: list[Guess] = []
    names: set[str] = set()
    named = {given.lower(): given for given in (click, conversion, when and when.name) if given}
    for column in profiles.values():
        if column.name in (click, conversion):
            values = clicks if column.name == click else conversions
            role = "click" if column.name == click else "conversion"
            guesses.append(Guess(column.name, role, "label", f"{values.mean():.2%} of the rows"))
        elif when is not None and column.name == when.name:
            if column.type == "time" and not column.zoned:
                said += "; it has no zone and is read as UTC: labels.time_zone names another"
            guesses.append(Guess(column.name, "time", "exposure time", said, never=True))
        elif column.name in told:
            event, why = told[column.name]
            guesses.append(Guess(column.name, "time", f"{event} time", why))
        else:
            guesses.append(_guess(column, leaks[column.name], keys, names, named))
    made: dict[str, Any] = {"click": click, "conversion": conversion}
    if when is not None:
        made |= {"exposure_time": when.name}
        made |= {f"{event}_time": found.column.name for event, found in timed.items()}
        made |= {"time_unit": labels.time_unit(when) or "ms"}
    entries = {g.column: g.entry["name"] for g in guesses if g.entry is not None}
    if not entries:
        raise ValueError("FILE: no column is left that could be a feature; see the reasons above")
    user_key = entries.get(keys.user.name) if keys.user is not None else None
    item_key = entries.get(keys.item.name) if keys.item is not None else None
    return Proposal(_identifier(name), table.num_rows, made, guesses, user_key, warnings, item_key)


def _event_times(
    columns: Sequence[Profile], when: Profile | None, clicks: NDArray, conversions: NDArray
) -> dict[str, EventTime]:
    """Finds the times of clicks and conversions, where exposures have one."""
    if when is None:
        return {}
    found: dict[str, EventTime] = {}
    for event, happened in (("click", clicks), ("conversion", conversions)):
        taken = [found[name].column for name in found]
        free = [c for c in columns if c.name != when.name and c not in taken]
        one = event_times.find(free, event, happened, when, taken)
        if one is not None:
            found[event] = one
    return found


def _guess(column: Profile, leak: Any, keys: Any, names: set[str], named: dict[str, str]) -> Guess:
    if leak is not None and leak.certain:
        return Guess(column.name, "left out", "leak", leak.why, f"LEAK: {leak.why}", never=True)
    if column.name.lower() in (*_TAKEN, *RESERVED, EXPOSURE_TIME):
        why = "preparation keeps this name to itself; rename the column to use it as a feature"
        return Guess(column.name, "left out", "reserved", why)
    twin = named.setdefault(column.name.lower(), column.name)
    if twin != column.name:
        why = f"differs from {twin!r} in case only, which preparation takes for one; rename it"
        return Guess(column.name, "left out", "name", why)
    side, why_side = find_side(column, keys)
    key = any(k is not None and k.name == column.name for k in (keys.user, keys.item))
    choice = choose(column, side, key)
    if choice.settings is None:
        return Guess(column.name, "left out", column.type, choice.why, never=True)
    entry: dict[str, Any] = {"name": _feature_name(column.name, names)}
    if entry["name"] != column.name:
        entry["column"] = column.name
    kind = choice.settings["kind"]
    entry |= {"dtype": choice.settings["dtype"], "side": side, **choice.settings}
    warning = leak.why if leak is not None else ""
    missing = f"; missing on {column.missing:.1%}" if column.missing else ""
    why = f"{choice.why}{missing}; {side}: {why_side}"
    return Guess(column.name, "feature", f"{side}, {kind}", why, warning, entry)


def _time(
    profiles: dict[str, Profile], time: str | None, clean: Sequence[Profile]
) -> tuple[Profile | None, str]:
    if time is None:
        found = labels.find_time([c for c in clean if c.name not in _TAKEN])
        return found, "looks like the time of the exposure: a time on every row"
    column = profiles[time]
    if time in _TAKEN:
        raise ValueError(
            f"--time: must be another name than {' or '.join(_TAKEN)}, which preparation keeps to "
            f"itself, received {time!r}; rename the column"
        )
    if labels.time_unit(column) is None:
        raise ValueError(
            f"--time: {time!r} must hold seconds or milliseconds since 1970, YYYYMMDD, or texts "
            f"such as 2024-05-01 10:00:00, received {column.type} such as "
            f"{column.values.slice(0, 3).to_pylist()}"
        )
    return column, "given by --time"


def _label_warnings(click: NDArray, conversion: NDArray) -> list[str]:
    found = []
    converted = int((click * conversion).sum())
    alone = int(((1 - click) * conversion).sum())
    if len(click) < _FEW_ROWS:
        found.append(
            f"only {len(click):,} rows: what is a category, a quantity or a side is guessed from "
            "too little; give more rows, or read every reason"
        )
    if converted < 100:
        noun = "conversion" if converted == 1 else "conversions"
        found.append(
            f"only {converted} {noun} after a click in {len(click):,} rows: results will "
            "swing from seed to seed"
        )
    if alone:
        found.append(
            f"{alone:,} rows hold a conversion without a click; training takes them for "
            "unconverted, reports show them apart"
        )
    if click.mean() > 0.9:
        found.append(
            f"{click.mean():.0%} of the rows are clicked: does the table hold every exposure, "
            "or only clicks and a sample?"
        )
    return found


def _feature_name(column: str, taken: set[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_") or "feature"
    if not name[0].isalpha():
        name = f"f_{name}"
    if name.lower() in (*RESERVED, *_TAKEN, EXPOSURE_TIME):
        name = f"{name}_feature"
    free, i = name, 2
    while free.lower() in taken:
        free, i = f"{name}_{i}", i + 1
    taken.add(free.lower())
    return free


def _identifier(name: str) -> str:
    text = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
    return text if text and text[0].isalpha() else f"table_{text}".rstrip("_")
