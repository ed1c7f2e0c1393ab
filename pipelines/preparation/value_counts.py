"""How often each value of a feature stands in each part, counted once for all who ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.schema import Feature
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.shared_records import SharedRecords

#: What stands for no value.
ABSENT = {"int64": -1, "string": ""}
#: The order of a vocabulary: the most frequent first, equal ones by value.
ORDER = [("rows", "descending"), ("value", "ascending")]


@dataclass(frozen=True)
class ValueCounts:
    """Counts the values of categorical features, of all parts at once, and keeps the counts.

    Attributes:
        parts: the prepared rows of each part; the first is what is learned from.
        given: counts made elsewhere, by feature and part.
        records: those that exposures share: a value of one counts for all its exposures.
    """

    parts: Mapping[str, ir.Table]
    given: Mapping[str, Mapping[str, pa.Table]] = field(default_factory=dict)
    records: Sequence[SharedRecords] = ()
    _kept: dict[str, dict[str, pa.Table]] = field(default_factory=dict, repr=False)

    @property
    def first(self) -> str:
        """The part that is learned from."""
        return next(iter(self.parts))

    def covers(self, feature: Feature) -> bool:
        """Whether a feature's values can be counted."""
        return feature.name in self.given or feature.name in self.parts[self.first].columns

    def of(self, part: str, feature: Feature) -> pa.Table:
        """Returns every `value` of a feature that is there, with its `rows`, in any order."""
        if feature.name in self.given:
            return self.given[feature.name][part]
        if feature.name not in self._kept:
            self._kept[feature.name] = self._count(feature)
        return self._kept[feature.name][part]

    def ranked(self, family: Sequence[Feature], least: int, most: int | None) -> pa.Array:
        """Returns the values of tied features in the first part, the most frequent first.

        Args:
            family: the features; the rows of all count.
            least: rows that a value needs.
            most: how many values at most.
        """
        counted = pa.concat_tables([self.of(self.first, feature) for feature in family])
        if len(family) > 1:
            counted = summed(counted)
        counted = counted.filter(pc.greater_equal(counted["rows"], least)).sort_by(ORDER)
        values = counted["value"] if most is None else counted["value"].slice(0, most)
        return values.combine_chunks()

    def top(self, feature: Feature, number: int) -> pa.Table:
        """Returns the most frequent values of a feature in the first part, with their rows."""
        counted = self.of(self.first, feature)
        if not counted.num_rows:  # Arrow selects none of no rows with an error
            return counted
        return counted.take(pc.select_k_unstable(counted, k=number, sort_keys=ORDER))

    def forget(self, feature: Feature) -> None:
        """Drops what is kept of a feature."""
        self._kept.pop(feature.name, None)

    def _count(self, feature: Feature) -> dict[str, pa.Table]:
        # one query for all parts: it costs Ibis more to write one than the engine to answer it
        home = next((r for r in self.records if feature in r.features), None)
        numbers = {part: f"rows{i}" for i, part in enumerate(self.parts)}
        if home is None:
            tables = []
            for part, table in self.parts.items():
                ones = {number: int(other == part) for other, number in numbers.items()}
                tables.append(_values(table, feature, ones))
            values = ibis.union(*tables)
        else:
            made = home.counted()
            rows = {number: made[home.rows_of(part)] for part, number in numbers.items()}
            values = _values(made, feature, rows)
        values = values.filter(values["value"] != ABSENT[feature.dtype])
        sums = {number: values[number].sum().cast("int64") for number in numbers.values()}
        with translated_errors(f"counting the values of {feature.name}"):
            counted = values.group_by("value").aggregate(**sums).to_pyarrow()
        return {part: _there(counted, number) for part, number in numbers.items()}


def _values(table: ir.Table, feature: Feature, rows: Mapping[str, ir.Value | int]) -> ir.Table:
    column = table[feature.name]
    return table.select(value=column.unnest() if feature.multi_valued else column, **rows)


def _there(counted: pa.Table, number: str) -> pa.Table:
    """Returns the values that stand in one part, with its `rows`."""
    found = counted.select(["value", number]).rename_columns(["value", "rows"])
    return found.filter(pc.greater(found["rows"], 0))


def summed(counted: pa.Table) -> pa.Table:
    """Returns each `value` once, with the sum of its `rows`."""
    found = counted.group_by("value").aggregate([("rows", "sum")])
    return found.rename_columns({"rows_sum": "rows"})
