"""Checks of raw data against the schema: types, ranges, missing rates, labels, lists.

Every check is one predicate on a row, true where a rule is broken. All of them are counted in one
pass; a broken rule shows a few of its rows and stops preparation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import DType, Feature, Schema
from pipelines.cli.console import Console
from pipelines.preparation import encode, wide_joins
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.wide_joins import Side

_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """A broken rule: which column, which rule, how many rows, and some of them."""

    column: str
    rule: str
    rows: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f", such as {'; '.join(self.examples)}" if self.examples else ""
        return f"{self.column}: {self.rule} ({self.rows:,} rows break it{shown})"


@dataclass
class Report:
    """What the checks found.

    Attributes:
        findings: broken rules; any of them is a failure.
        notes: what is worth knowing and is no failure.
        missing: per part of the split, per feature, the share of rows without a value.
        shortened: per feature, the rows whose list was longer than `max_length`.
        rules: how many rules were checked.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, dict[str, float]] = field(default_factory=dict)
    shortened: dict[str, int] = field(default_factory=dict)
    rules: int = 0

    def raise_if_failed(self) -> None:
        """Raises a ValueError that lists every broken rule.

        Raises:
            ValueError: if a rule is broken.
        """
        if self.findings:
            lines = "\n".join(f"  {finding}" for finding in self.findings)
            raise ValueError(
                f"data: {len(self.findings)} rules of the schema are broken; correct the rows or "
                f"the schema\n{lines}"
            )

    def show(self, console: Console) -> None:
        """Prints the report."""
        for note in self.notes:
            console.note(note)
        if self.findings:
            console.table(
                "Broken rules",
                ["column", "rule", "rows", "examples"],
                [(f.column, f.rule, f"{f.rows:,}", "; ".join(f.examples)) for f in self.findings],
                loud=True,
            )
        else:
            console.step(f"checked {self.rules} rules: all hold")

    def as_json(self) -> dict[str, Any]:
        """Returns the report for the data card."""
        return {
            "rules_checked": self.rules,
            "passed": not self.findings,
            "shortened_lists": self.shortened,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Rule:
    """A predicate that is true on rows which break the rule; `beside` is shown with the column."""

    column: str
    text: str
    broken: ir.BooleanValue
    beside: str | None = None


def typed(
    table: ir.Table, wanted: Mapping[str, DType | None], source: str, report: Report
) -> ir.Table:
    """Selects the wanted columns of a raw table as their dtypes; None leaves a column as it is.

    A value that cannot be read as its dtype is a finding.

    Raises:
        ValueError: if a wanted column is absent.
    """
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise ValueError(
            f"{source}: the columns {absent} must be there, received {list(table.columns)}; "
            "give the complete raw file, or remove the features that need them from the schema"
        )
    rules, columns = [], {}
    for name, dtype in wanted.items():
        if dtype is None:
            columns[name] = table[name]
            continue
        columns[name] = encode.as_dtype(table[name], dtype)
        if dtype != "string" and not table[name].type().is_integer():
            broken = encode.unreadable(table[name], dtype)
            rules.append(Rule(name, f"must be {dtype} (in {source})", broken))
    apply(table, rules, (), report)
    return table.select(**columns)


def apply(table: ir.Table, rules: Sequence[Rule], keys: Sequence[str], report: Report) -> None:
    """Counts in one pass the rows of a table that break rules.

    Args:
        table: the rows.
        rules: predicates on them.
        keys: columns shown with each example.
        report: takes the findings.
    """
    report.rules += len(rules)
    if not rules:
        return
    with translated_errors("checking the data"):
        counted = table.aggregate(
            **{f"broken_{i}": rule.broken.sum() for i, rule in enumerate(rules)}
        ).to_pyarrow()
    for i, rule in enumerate(rules):
        rows = counted[f"broken_{i}"][0].as_py() or 0
        if rows:
            report.findings.append(_finding(table, rule, rows, keys))


def unique_key(table: ir.Table, key: str, source: str, report: Report) -> None:
    """Finds keys that a side table holds more than once: a join would multiply rows."""
    counted = table.filter(table[key].notnull()).group_by(key).aggregate(rows=lambda t: t.count())
    repeated = counted.filter(counted["rows"] > 1).order_by(key)
    report.rules += 1
    with translated_errors(f"reading {source}"):
        total = repeated.count().execute()
        shown = repeated.limit(_EXAMPLES).to_pyarrow().to_pylist() if total else []
    if total:
        examples = tuple(f"{key}={row[key]} on {row['rows']} rows" for row in shown)
        rule = f"must be unique in {source}, or joining would repeat exposures"
        report.findings.append(Finding(key, rule, int(total), examples))


def validate(
    table: ir.Table,
    schema: Schema,
    keys: Sequence[str],
    report: Report,
    sides: Sequence[Side] = (),
) -> None:
    """Checks exposures (typed raw columns and `part`) against the schema, in one pass.

    Args:
        table: the exposures that belong to a part of the split, with its name in `part`.
        schema: the rules.
        keys: columns shown with each example.
        report: takes the findings, the missing rates and the shortened lists.
        sides: tables with further columns; their records are checked once each and counted as
            often as exposures point to them. An exposure without a record lacks their values.
    """
    homes = [table, *(side.table for side in sides)]
    shown = [tuple(keys), *(side.keys for side in sides)]
    rules = [(0, rule) for rule in _label_rules(table, schema)]
    named: list[dict[str, ir.BooleanValue]] = [{} for _ in homes]
    longer = []
    for feature in schema.features:
        home = next((i for i, t in enumerate(homes) if feature.source in t.columns), 0)
        rules += [(home, rule) for rule in _feature_rules(homes[home], feature)]
        named[home][f"absent_{feature.name}"] = _absent(homes[home], feature)
        if feature.max_length is not None:
            length = encode.entries(homes[home], feature).length()
            named[home][f"longer_{feature.name}"] = length > feature.max_length
            longer.append(feature.name)
    for i, (home, rule) in enumerate(rules):
        named[home][f"broken_{i}"] = rule.broken
    pointers = {key: table[key] for side in sides for key in side.keys}
    flags = table.select(part=table["part"], **pointers, **named[0])
    for side, some in zip(sides, named[1:], strict=True):
        flags = wide_joins.join(flags, side.table.select(*side.keys, **some), side.keys)
    sums = {name: ibis._[name] for some in named for name in some}
    sums = {n: (v.fill_null(True) if n.startswith("absent_") else v).sum() for n, v in sums.items()}
    with translated_errors("checking the data"):
        counted = (
            flags.group_by("part")
            .aggregate(rows=ibis._.count(), **sums)
            .order_by("part")
            .to_pyarrow()
            .to_pylist()
        )
    report.rules += len(rules) + len(schema.features)
    for i, (home, rule) in enumerate(rules):
        rows = sum(row[f"broken_{i}"] or 0 for row in counted)
        if rows:
            report.findings.append(_finding(homes[home], rule, rows, shown[home]))
    total = sum(row["rows"] for row in counted)
    for feature in schema.features:
        name = f"absent_{feature.name}"
        missing = sum(row[name] or 0 for row in counted)
        for row in counted:
            rates = report.missing.setdefault(row["part"], {})
            rates[feature.name] = (row[name] or 0) / row["rows"]
        if total and missing / total > feature.max_missing_rate:
            text = f"may be missing on {feature.max_missing_rate:.2%} of rows at most"
            text += f", received {missing / total:.2%}"
            report.findings.append(Finding(feature.source, text, missing))
    for name in longer:
        rows = sum(row[f"longer_{name}"] or 0 for row in counted)
        if rows:
            report.shortened[name] = rows


def _label_rules(table: ir.Table, schema: Schema) -> Iterator[Rule]:
    labels = schema.labels
    for name in (labels.click, labels.conversion):
        broken = table[name].isnull() | ~table[name].isin([0, 1])
        yield Rule(name, "a label must be 0 or 1", broken)
    if labels.exposure_time:
        time = table[labels.exposure_time]
        yield Rule(labels.exposure_time, "the exposure time must be there", time.isnull())


def _feature_rules(table: ir.Table, feature: Feature) -> Iterator[Rule]:
    if feature.multi_valued:
        yield from _list_rules(table, feature)
    elif feature.dtype != "string":
        yield from _number_rules(table, feature)


def _number_rules(table: ir.Table, feature: Feature) -> Iterator[Rule]:
    value = table[feature.source]
    if feature.minimum is not None:
        yield Rule(feature.source, f"must be at least {feature.minimum:g}", value < feature.minimum)
    if feature.maximum is not None:
        yield Rule(feature.source, f"must be at most {feature.maximum:g}", value > feature.maximum)
    if feature.dtype == "float32":
        yield Rule(feature.source, "must be finite", value.cast("float64").isinf())
    if feature.log1p:
        yield Rule(feature.source, "log1p needs values of 0 or more", value < 0)


def _list_rules(table: ir.Table, feature: Feature) -> Iterator[Rule]:
    entries = encode.entries(table, feature)
    broken = entries.filter(lambda entry: entry.isnull()).length() > 0
    yield Rule(feature.source, f"every entry must be {feature.dtype}", broken)
    if feature.dtype != "string":
        for limit, word, outside in (
            (feature.minimum, "at least", lambda entry: entry < feature.minimum),
            (feature.maximum, "at most", lambda entry: entry > feature.maximum),
        ):
            if limit is not None:
                broken = entries.filter(outside).length() > 0
                yield Rule(feature.source, f"every entry must be {word} {limit:g}", broken)
    if feature.weights:
        weights = encode.entry_weights(table, feature)
        beside = feature.source
        places, others = (encode.pieces(table[c], feature) for c in (beside, feature.weights))
        unequal = places.length() != others.length()
        broken = weights.filter(lambda entry: entry.isnull() | entry.isinf()).length() > 0
        text = "every weight must be a finite number"
        yield Rule(feature.weights, text, broken & ~unequal, beside)
        text = f"must hold one weight for each entry of {beside}"
        yield Rule(feature.weights, text, unequal, beside)


def _absent(table: ir.Table, feature: Feature) -> ir.BooleanValue:
    if feature.multi_valued:
        return encode.entries(table, feature).length() == 0
    return table[feature.source].isnull()


def _finding(table: ir.Table, rule: Rule, rows: int, keys: Sequence[str]) -> Finding:
    shown = list(dict.fromkeys([rule.column, *([rule.beside] if rule.beside else []), *keys]))
    with translated_errors("checking the data"):
        found = table.filter(rule.broken).select(*shown).limit(_EXAMPLES).to_pyarrow().to_pylist()
    examples = tuple(", ".join(f"{k}={v!r}" for k, v in row.items()) for row in found)
    return Finding(rule.column, rule.text, int(rows), examples)
