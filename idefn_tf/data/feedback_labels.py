"""Labels of delayed feedback: which conversions were known at a moment, and how long they took.

Prepared rows hold them; raw rows with the times of exposure, click and conversion give them for any
moment, as `pipelines.prepare --as-of` does.

Source: Chapelle, Modeling Delayed Feedback in Display Advertising, KDD 2014, section 3.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from idefn_tf.data.convert import convert
from idefn_tf.data.files import column_values
from idefn_tf.data.time_columns import time_array
from idefn_tf.schema import (
    CLICK,
    CONVERSION,
    CONVERSION_DELAY,
    CONVERSION_FINAL,
    ELAPSED,
    FEEDBACK_LABELS,
    Labels,
    Schema,
)
from idefn_tf.schema.moments import per_second, read_moment, wrong_unit

Arrays = dict[str, np.ndarray]
_DAY = 86_400
#: What each label of delays must hold; a delay below 0 has no likelihood.
RULES = {
    ELAPSED: "must hold days since the click, 0 or more",
    CONVERSION_DELAY: "must hold days from the click to the conversion, 0 or more",
    CONVERSION_FINAL: "must hold 0 and 1",
}
CURE = "write 0 where there is none, and leave out rows with a conversion before its click"


@dataclass(frozen=True)
class FeedbackLabels:
    """What to read of delays.

    Attributes:
        as_of: the moment, in the schema's unit; None for prepared rows, which are of one already.
    """

    as_of: int | None = None

    @classmethod
    def of(cls, labels: Labels, as_of: Any) -> FeedbackLabels:
        """Reads the moment: units since 1970, a day or moment in ISO form, or a datetime.

        Raises:
            ValueError: if it is neither.
        """
        if as_of is None or isinstance(as_of, Integral):
            return cls(None if as_of is None else int(as_of))
        try:
            return cls(read_moment(str(as_of), labels.time_unit, labels.time_zone))
        except ValueError:
            raise ValueError(
                f"as_of: must be a moment such as 2024-05-08T06:00, or whole {labels.time_unit} "
                f"since 1970, received {as_of!r}"
            ) from None

    def read(self, schema: Schema, table: pa.Table, labels: Arrays, first_row: int) -> Arrays:
        """Returns click and conversion as they were known, and the labels of delays.

        Args:
            schema: names the columns.
            table: the rows.
            labels: "click" and "conversion" of all that the table says.
            first_row: the number of the table's first row, for errors.

        Raises:
            ValueError: naming column and row, if times are missing or have an order that no funnel
                has, or an exposure came after the moment.
        """
        if set(FEEDBACK_LABELS) <= set(table.column_names):
            return self._prepared(schema, table, first_row)
        if self.as_of is None:
            raise ValueError(
                f"as_of: must be given for rows without the columns {[*FEEDBACK_LABELS]}, received "
                "None; give the moment at which labels were known, or prepare the rows"
            )
        check_times(schema.labels, table.column_names)
        return self._raw(schema, table, labels, self.as_of, first_row)

    def _prepared(self, schema: Schema, table: pa.Table, first_row: int) -> Arrays:
        if self.as_of is not None:
            raise ValueError(
                f"as_of: must be None for prepared rows, received {self.as_of}; prepare the log "
                "with --as-of, or open the raw rows"
            )
        words = schema.missing_words
        found = {
            name: convert(column_values(table, name), name, "float32", 0.0, words, first_row)
            for name in FEEDBACK_LABELS
        }
        for name, wrong in wrong_delays(found).items():
            _refuse(table, name, int(np.argmax(wrong)), first_row, RULES[name], CURE)
        return found

    def _raw(
        self, schema: Schema, table: pa.Table, given: Arrays, as_of: int, first_row: int
    ) -> Arrays:
        labels = schema.labels
        names = labels.times
        click = given[CLICK] == 1
        converted = click & (given[CONVERSION] == 1)
        (shown, unshown), (clicked, unclicked), (came, uncame) = (
            _times(schema, table, name, first_row, happened)
            for name, happened in zip(names, (None, click, converted), strict=True)
        )
        clicked = np.where(unclicked, shown, clicked)
        for name, wrong, rule, cure in (
            (names[0], unshown, "must hold a time on every row", "write it"),
            (names[0], shown > as_of, f"must not lie after as_of={as_of}",
             "give a later as_of, or leave out the row"),
            (names[1], click & (clicked < shown), f"must not lie before {names[0]}", "correct it"),
            (names[2], converted & uncame, "must hold a time where there is a conversion",
             "write it, or leave out the row"),
            (names[2], converted & (came < clicked), f"must not lie before {names[1]}",
             "correct it"),
        ):  # fmt: skip
            if wrong.any():
                _refuse(table, name, int(np.argmax(wrong)), first_row, rule, cure)
        final, window = converted, labels.attribution
        if window is not None:
            opens = clicked if window.from_ == "click" else shown
            width = round(window.window_hours * 3600 * per_second(labels.time_unit))
            final = converted & (came - opens <= width)
        click &= clicked <= as_of
        known = final & click & (came <= as_of)
        day = float(_DAY * per_second(labels.time_unit))
        return {
            CLICK: click,
            CONVERSION: known,
            CONVERSION_FINAL: (final & click).astype(np.float32),
            ELAPSED: np.where(click, (as_of - clicked) / day, 0.0).astype(np.float32),
            CONVERSION_DELAY: np.where(known, (came - clicked) / day, 0.0).astype(np.float32),
        }


def wrong_delays(arrays: Arrays) -> dict[str, np.ndarray]:
    """Returns by label of delays which rows break its rule, where any does."""
    found = {
        name: ~np.isin(values, (0.0, 1.0)) if name == CONVERSION_FINAL else ~(values >= 0.0)
        for name, values in arrays.items()
        if name in RULES
    }
    return {name: wrong for name, wrong in found.items() if wrong.any()}


def check_delays(arrays: Arrays) -> None:
    """Refuses labels of delays that were read without their rows' numbers.

    Raises:
        ValueError: naming the column and the first values.
    """
    for name, wrong in wrong_delays(arrays).items():
        raise ValueError(
            f"source: column {name!r} {RULES[name]}, received {arrays[name][wrong][:5]};\n{CURE}"
        )


def check_times(labels: Labels, columns: Collection[str]) -> None:
    """Refuses a schema or a table without the times of exposure, click and conversion.

    Raises:
        ValueError: naming what is missing.
    """
    if not labels.delayed:
        raise ValueError(
            "feedback_labels: must go with labels.exposure_time, click_time and conversion_time, "
            f"received {[*labels.times]}; name the three columns of times in the schema"
        )
    absent = [name for name in labels.times if name not in columns]
    if absent:
        raise ValueError(
            f"source: column {absent[0]!r} of times is missing, received {sorted(columns)}; "
            "add it, empty where nothing happened"
        )


def _times(
    schema: Schema, table: pa.Table, name: str, first_row: int, happened: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    values, missing = time_array(schema, table, name, first_row, happened)
    unit = schema.labels.time_unit
    if not missing.all() and (cure := wrong_unit(int(values[~missing].max()), unit)):
        _refuse(
            table, name, int(np.argmax(values)), first_row, f"must hold {unit} since 1970", cure
        )
    return values, missing


def _refuse(table: pa.Table, name: str, at: int, first_row: int, rule: str, cure: str) -> NoReturn:
    value = table.column(name)[at].as_py()
    raise ValueError(
        f"source: column {name!r} {rule}, received {value} in row {first_row + at}; {cure}"
    )
