"""History features and behaviour sequences: what was known of a key as of a row's time.

Keys `history` and `sequences` of a schema. `idefn_tf.history` computes what they ask for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, field_validator, model_validator

from idefn_tf.schema.feature import Feature
from idefn_tf.schema.strict import Strict

Event = Literal["exposure", "click", "conversion"]
Measure = Literal["count", "rate", "sum", "hours_since"]
Condition = Literal["exposed", "clicked", "converted"]
#: A window of all time, in the schema and in generated names.
ALL = "all"


def _duration(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d*[hd]", value):
        raise ValueError(f"must be hours or days such as 6h or 7d, received {value!r}")
    return value


def _window(value: str) -> str:
    if value != ALL and not re.fullmatch(r"[1-9]\d*[hd]", value):
        raise ValueError(f"must be hours or days such as 6h or 7d, or all, received {value!r}")
    return value


Duration = Annotated[str, AfterValidator(_duration)]
Window = Annotated[str, AfterValidator(_window)]


class HistoryColumn(NamedTuple):
    """One number that an aggregate gives.

    Example:
        >>> from idefn_tf.schema import HistoryAggregate
        >>> past = HistoryAggregate(key="user", events=("click",))
        >>> past.columns[0].name, past.columns[0].measure, past.columns[0].window
        ('user__click_count__all', 'count', 'all')
    """

    name: str
    event: Event
    measure: Measure
    window: str


class HistoryAggregate(Strict):
    """Aggregates over the past events of one key: counts, rates, sums, hours since the last.

    Attributes:
        key: the feature, or the pair of features, whose events are looked at.
        events: what is aggregated.
        measures: "count"; "rate", the smoothed share of exposures with the event; "sum" of `value`;
            "hours_since" the last event.
        windows: how far back count, rate and sum look: hours, days, or "all".
        value: the column that "sum" adds up.

    Example:
        >>> from idefn_tf.schema import HistoryAggregate
        >>> past = HistoryAggregate(key="user", events=("click",), measures=("count", "rate"))
        >>> len(past.names), past.names[0]
        (2, 'user__click_count__all')
    """

    key: str | tuple[str, str] = Field(description="feature, or pair of features")
    events: Annotated[tuple[Event, ...], Field(min_length=1)]
    measures: Annotated[tuple[Measure, ...], Field(min_length=1)] = ("count", "rate")
    windows: Annotated[tuple[Window, ...], Field(min_length=1)] = (ALL,)
    value: str | None = Field(None, description="column that `sum` adds up")

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_two(cls, value: Any) -> Any:
        several = isinstance(value, (list, tuple))
        if isinstance(value, str) or (
            several and len(value) == 2 and all(isinstance(name, str) for name in value)
        ):
            return value
        raise ValueError(f"must be a feature or a pair of features, received {value!r}")

    @model_validator(mode="after")
    def _check(self) -> HistoryAggregate:
        if len(set(self.keys)) != len(self.keys):
            raise ValueError(f"key must be two features, received {list(self.keys)}")
        for name in ("events", "measures", "windows"):
            given = getattr(self, name)
            if len(set(given)) != len(given):
                raise ValueError(f"{name} must be distinct, received {list(given)}")
        if ("sum" in self.measures) != (self.value is not None):
            raise ValueError(
                f"value must name a column where measures hold sum, and only there, received "
                f"{self.value!r} beside {list(self.measures)}"
            )
        if "rate" in self.measures and self.events == ("exposure",):
            raise ValueError("measures: rate must be of click or conversion, received exposure")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The one or two features of the key."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that come out, ``<key>__<event>_<measure>__<window>``."""
        return tuple(column.name for column in self.columns)

    @property
    def columns(self) -> tuple[HistoryColumn, ...]:
        """What comes out: no rate of exposures, one window for hours_since."""
        start = "_x_".join(self.keys)
        return tuple(
            HistoryColumn(f"{start}__{event}_{measure}__{window}", event, measure, window)
            for event in self.events
            for measure in self.measures
            if not (measure == "rate" and event == "exposure")
            for window in ((ALL,) if measure == "hours_since" else self.windows)
        )


class History(Strict):
    """The event streams that rows look back on, and the aggregates over them.

    Attributes:
        aggregates: what is computed, by key.
        columns: for event files: which column stands for which event; default: the label columns.
        conversion: "after_click" hides past conversions of unclicked exposures, as training does,
            but not in event files where another column stands for the click; "raw" counts them all.
        smoothing: weight of the prior in a rate, in exposures.
        refresh: when a row's features were computed: at its time, at the last full hour, or at the
            last midnight of `labels.time_zone`.
        lag: how much later than it happened an event is known.
        known_at: for a stream without times: the moment from which all of it is known.
        burn_in_days: first days of the log that feed history and are not trained on.
        log_rows: whether the log's own exposures are events, beside those of event files.

    Example:
        >>> from idefn_tf.schema import History
        >>> past = History.model_validate({"aggregates": [{"key": "user", "events": ["click"]}]})
        >>> past.refresh, past.smoothing, past.burn_in_days
        ('continuous', 20.0, 7)
    """

    aggregates: tuple[HistoryAggregate, ...] = ()
    columns: Mapping[Event, str] = Field(default_factory=dict)
    conversion: Literal["after_click", "raw"] = "after_click"
    smoothing: float = Field(20.0, ge=0)
    refresh: Literal["continuous", "hourly", "daily"] = "continuous"
    lag: Duration | None = None
    known_at: str | None = Field(None, description="moment in ISO form")
    burn_in_days: int = Field(7, ge=0)
    log_rows: bool = True

    @field_validator("known_at", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        if isinstance(value, (date, datetime)):  # YAML reads an unquoted day as one
            return value.isoformat()
        try:
            if value is not None:
                datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"must be a moment such as 2024-05-08 or 2024-05-08T06:00, received {value!r}"
            ) from None
        return value

    @model_validator(mode="after")
    def _check(self) -> History:
        if self.known_at is None:
            return self
        for i, aggregate in enumerate(self.aggregates):
            timed = [window for window in aggregate.windows if window != ALL]
            if timed or "hours_since" in aggregate.measures:
                raise ValueError(
                    f"aggregates[{i}] must look at all time alone, for the stream has no times "
                    f"(known_at), received {timed or 'hours_since'}"
                )
        return self


class BehaviourSequence(Strict):
    """A behaviour sequence: the last events of a key themselves, newest last.

    Attributes:
        name: begins the generated names, ``<name>__<item feature>`` and ``<name>__gap``.
        key: the feature whose events are looked at.
        condition: which events.
        items: item features that an event carries; each shares its feature's table.
        length: how many events at most; the newest are kept.
        gap_hours: bounds of the buckets of the hours between event and row; none, no gaps.

    Example:
        >>> from idefn_tf.schema import BehaviourSequence
        >>> clicks = BehaviourSequence(
        ...     name="clicks", key="user", condition="clicked", items=("item",), gap_hours=(1, 24)
        ... )
        >>> clicks.names, clicks.length
        (('clicks__item', 'clicks__gap'), 50)
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    key: str
    condition: Condition
    items: Annotated[tuple[str, ...], Field(min_length=1)]
    length: int = Field(50, ge=1)
    gap_hours: tuple[Annotated[float, Field(gt=0)], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> BehaviourSequence:
        if len(set(self.items)) != len(self.items):
            raise ValueError(f"items must be distinct, received {list(self.items)}")
        if list(self.gap_hours) != sorted(set(self.gap_hours)):
            raise ValueError(f"gap_hours must rise strictly, received {list(self.gap_hours)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that come out."""
        parts = (*self.items, "gap") if self.gap_hours else self.items
        return tuple(f"{self.name}__{part}" for part in parts)

    @property
    def gap(self) -> str:
        """The column of gap buckets, where there are any."""
        return f"{self.name}__gap"


def check(
    history: History | None,
    sequences: tuple[BehaviourSequence, ...],
    features: tuple[Feature, ...],
    taken: set[str],
    timed: bool,
) -> None:
    """Checks what history and sequences say of the schema around them.

    Args:
        history: of the schema.
        sequences: of the schema.
        features: of the schema.
        taken: names that no generated column may carry.
        timed: whether the schema names the column with the exposure's time.

    Raises:
        ValueError: naming the key, the rule and the value.
    """
    by_name = {feature.name: feature for feature in features}
    made: dict[str, str] = {}
    if (history or sequences) and not timed and (history is None or history.known_at is None):
        raise ValueError(
            f"{'history' if history else 'sequences'}: must have labels.exposure_time, or "
            "history.known_at for a stream without times; name one"
        )
    if history is not None and not history.aggregates and not sequences:
        raise ValueError("history.aggregates: must not be empty without sequences; list some")
    for i, aggregate in enumerate(history.aggregates if history else ()):
        for name in aggregate.keys:
            _single(by_name.get(name), f"history.aggregates[{i}].key", name, by_name)
        _new(aggregate.names, f"history.aggregates[{i}]", made, taken)
    for i, sequence in enumerate(sequences):
        at = f"sequences[{i}]"
        _single(by_name.get(sequence.key), f"{at}.key", sequence.key, by_name)
        for k, name in enumerate(sequence.items):
            feature = _single(by_name.get(name), f"{at}.items[{k}]", name, by_name)
            if feature.side != "item":
                raise ValueError(
                    f"{at}.items[{k}]: must be a feature of side item, received {name!r} of side "
                    f"{feature.side}"
                )
        if sequence.gap_hours and history is not None and history.known_at is not None:
            raise ValueError(
                f"{at}.gap_hours: must be left out for a stream without times (history.known_at), "
                f"received {list(sequence.gap_hours)}"
            )
        _new(sequence.names, f"{at}.name", made, taken)


def _single(feature: Feature | None, at: str, name: str, known: Mapping[str, Feature]) -> Feature:
    """Returns a feature that can be a key: categorical, one value a row."""
    if feature is None:
        raise ValueError(f"{at}: must name a feature, received {name!r}; there are {list(known)}")
    if feature.multi_valued or feature.kind in ("numeric", "bucketized"):
        what = "a list" if feature.multi_valued else feature.kind
        raise ValueError(
            f"{at}: must be a categorical feature with one value a row, received {name!r}, "
            f"which is {what}"
        )
    return feature


def _new(names: tuple[str, ...], at: str, made: dict[str, str], taken: set[str]) -> None:
    for name in names:
        if name in taken or name in made:
            where = made.get(name, "a column of the schema")
            raise ValueError(
                f"{at}: would make the column {name!r}, which {where} is already; rename one"
            )
        made[name] = at
