"""Labels: the columns that say what happened, and the names that no feature may carry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator, model_validator

from idefn_tf.schema import zones
from idefn_tf.schema.strict import Strict

#: Names of the label columns in prepared files and in every batch.
CLICK, CONVERSION = "click", "conversion"
#: Columns that only reports may read; no feature may carry one of these names.
REPORT_COLUMNS = ("conversion_raw", "probe", "oracle_conversion", "oracle_probability")
#: Columns of a prepared file that are neither features nor labels.
RESERVED = (CLICK, CONVERSION, "row_id", "exposure_time", "sample_weight", *REPORT_COLUMNS)


class Labels(Strict):
    """The label columns, their optional times, and the share of negatives that was kept.

    Attributes:
        click, conversion: the label columns.
        exposure_time, click_time, conversion_time: columns of times.
        time_unit: of these.
        time_zone: where clocks and calendars are read, an IANA name such as Asia/Shanghai: times
            without an offset are read there, and days begin at its midnight.
        attribution_window_hours: how long after its exposure a row can still convert; rows whose
            window was open when the log ended are immature.
        immature: "drop" leaves immature rows out; "weight" keeps them with the elapsed share of
            their window as sample weight.
        negative_keep_rate: share of the unclicked rows that the log kept.
    """

    click: str
    conversion: str
    exposure_time: str | None = None
    click_time: str | None = None
    conversion_time: str | None = None
    time_unit: Literal["ms", "s"] = "ms"
    time_zone: str = "UTC"
    attribution_window_hours: float | None = Field(None, gt=0)
    immature: Literal["drop", "weight"] = "drop"
    negative_keep_rate: float = Field(1.0, gt=0.0, le=1.0)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return zones.check(value)

    @model_validator(mode="after")
    def _check(self) -> Labels:
        if self.click == self.conversion:
            raise ValueError(
                f"click and conversion must be two columns, received {self.click!r} for both"
            )
        if self.attribution_window_hours is not None and self.exposure_time is None:
            raise ValueError("attribution_window_hours needs exposure_time, from which it counts")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column named here; none of them may be a feature."""
        named = (self.click, self.conversion, self.click_time, self.conversion_time)
        return tuple(name for name in named if name)

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
        raise ValueError(
            f"labels: the table must hold the columns {self.click!r} and {self.conversion!r} "
            f"(or 'click' and 'conversion'), received {sorted(names)}; name the label columns "
            "of your table under `labels` in the schema."
        )
