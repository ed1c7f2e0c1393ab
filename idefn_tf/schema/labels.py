"""Labels: the columns that say what happened, and the names that no feature may carry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from idefn_tf._rules import nearest
from idefn_tf.schema import zones
from idefn_tf.schema.attribution import Attribution
from idefn_tf.schema.strict import Strict

#: Names of the label columns in prepared files and in every batch.
CLICK, CONVERSION = "click", "conversion"
#: Columns that only reports may read; no feature may carry one of these names. The last is the
#: probability with which a row was shown, where the schema names its column.
EXPOSURE_PROBABILITY = "exposure_probability"
REPORT_COLUMNS = (
    "conversion_raw",
    "probe",
    "oracle_conversion",
    "oracle_probability",
    EXPOSURE_PROBABILITY,
)
#: What prepared rows call the time of the exposure.
EXPOSURE_TIME = "exposure_time"
#: Labels of delayed feedback in prepared files and, where they are asked for, in batches.
ELAPSED, CONVERSION_DELAY, CONVERSION_FINAL = "elapsed", "conversion_delay", "conversion_final"
FEEDBACK_LABELS = (ELAPSED, CONVERSION_DELAY, CONVERSION_FINAL)
#: 1 on prepared rows whose attribution window is open, where such rows are kept.
WINDOW_OPEN = "window_open"
#: What prepared rows hold where there are times of clicks and conversions.
DELAY_COLUMNS = (*FEEDBACK_LABELS, WINDOW_OPEN)
#: Columns of a prepared file that are neither features nor labels.
RESERVED = (
    CLICK,
    CONVERSION,
    "row_id",
    EXPOSURE_TIME,
    "sample_weight",
    *REPORT_COLUMNS,
    *DELAY_COLUMNS,
)


class Labels(Strict):
    """The label columns, their optional times, and the share of negatives that was kept.

    Attributes:
        click: column of the click, 0 or 1.
        conversion: column of the conversion, 0 or 1; where unclicked, reports alone read it.
        exposure_time: column of the exposure's time; rows are split by it.
        click_time: column of the click's time.
        conversion_time: column of the conversion's time; a window cuts off what comes later.
        time_unit: of times written as numbers since 1970, seconds or milliseconds; texts and typed
            times say their own. Prepared parts keep times in it.
        time_zone: where clocks and calendars are read, an IANA name such as Asia/Shanghai: times
            without an offset are read there, and days begin at its midnight.
        attribution: how long after its exposure or click a row can still convert; rows whose window
            was open when the log ended are immature.
        attribution_window_hours: the length of a window from the exposure; the older way to write
            `attribution`. Both are there, whichever was written.
        immature: "drop" leaves immature rows out; "weight" keeps them with the elapsed share of
            their window as sample weight; "keep" keeps them as they are, for methods that know of
            delays (it needs the times of exposure, click and conversion).
        negative_keep_rate: share of the unclicked rows that the log kept.
        exposure_probability: of the policy that chose what to show: a column, or a constant in
            (0, 1]. Never a feature; the value of other policies is estimated with it.

    Example:
        >>> from idefn_tf.schema import Labels
        >>> labels = Labels(click="is_click", conversion="bought", exposure_time="shown_at",
        ...                 attribution_window_hours=24)
        >>> labels.resolve(["user", "is_click", "bought"])
        ('is_click', 'bought')
        >>> labels.attribution.window_hours
        24.0
    """

    click: str
    conversion: str
    exposure_time: str | None = None
    click_time: str | None = None
    conversion_time: str | None = None
    time_unit: Literal["ms", "s"] = "ms"
    time_zone: str = "UTC"
    attribution: Attribution | None = None
    attribution_window_hours: float | None = Field(None, gt=0)
    immature: Literal["drop", "weight", "keep"] = "drop"
    negative_keep_rate: float = Field(1.0, gt=0.0, le=1.0)
    exposure_probability: str | Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="column, or constant in (0, 1]: the policy's probability of showing it"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return zones.check(value)

    @field_validator("exposure_probability", mode="before")
    @classmethod
    def _column_or_probability(cls, value: Any) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if (number and 0 < value <= 1) or (isinstance(value, str) and value) or value is None:
            return value
        raise ValueError(f"must be a column or a constant in (0, 1], received {value!r}")

    @model_validator(mode="after")
    def _check(self) -> Labels:
        if self.click == self.conversion:
            raise ValueError(
                f"click and conversion must be two columns, received {self.click!r} for both"
            )
        self._one_window()
        if self.attribution is not None and self.exposure_time is None:
            raise ValueError("attribution needs exposure_time, from which its window counts")
        if self.immature == "keep" and not self.delayed:
            raise ValueError(
                "immature: must be drop or weight without exposure_time, click_time and "
                "conversion_time, received 'keep', which takes open rows for negatives; name all "
                "three columns"
            )
        return self

    def _one_window(self) -> None:
        """Fills in the other of the two ways to write a window from the exposure."""
        hours, window = self.attribution_window_hours, self.attribution
        if hours is not None:
            written = Attribution.model_validate({"window_hours": hours, "from": "exposure"})
            if window not in (None, written):
                raise ValueError(
                    "attribution_window_hours must agree with attribution, received "
                    f"{hours:g} h from exposure and {window.window_hours:g} h from {window.from_}; "
                    "remove attribution_window_hours"
                )
            # the instance is being made: what comes after sees it frozen
            object.__setattr__(self, "attribution", written)
        elif window is not None and window.from_ == "exposure":
            object.__setattr__(self, "attribution_window_hours", window.window_hours)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column named here; none of them may be a feature."""
        named = (
            self.click,
            self.conversion,
            self.click_time,
            self.conversion_time,
            self.probability_column,
        )
        return tuple(name for name in named if name)

    @property
    def probability_column(self) -> str | None:
        """The column of exposure probabilities, where they are no constant."""
        shown = self.exposure_probability
        return shown if isinstance(shown, str) else None

    @property
    def times(self) -> tuple[str, ...]:
        """The columns of times: of exposure, click and conversion, where they are named."""
        named = (self.exposure_time, self.click_time, self.conversion_time)
        return tuple(name for name in named if name)

    @property
    def delayed(self) -> bool:
        """Whether exposure, click and conversion have times, from which delays are told."""
        return len(self.times) == 3

    def resolve(self, columns: Iterable[str]) -> tuple[str, str]:
        """Returns the click and the conversion column among `columns`.

        Prepared files call them "click" and "conversion"; raw tables use the schema's names.

        Raises:
            ValueError: if neither pair is there.
        """
        names = set(columns)
        for pair in ((CLICK, CONVERSION), (self.click, self.conversion)):
            if names.issuperset(pair):
                return pair
        lacking = next((name for name in (self.click, self.conversion) if name not in names), "")
        raise ValueError(
            f"labels: the table must hold the columns {self.click!r} and {self.conversion!r} "
            f"(or 'click' and 'conversion'), received {sorted(names)}{nearest(lacking, names)}; "
            "name the label columns of your table under `labels` in the schema."
        )
