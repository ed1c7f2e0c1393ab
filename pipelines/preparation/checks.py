"""Checks of raw data against the schema: types, ranges, missing rates, labels, lists.

Every check is one predicate on a row, true where a rule is broken. All of them are counted in one
pass; a broken rule shows a few of its rows and stops preparation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf._rules import nearest
from idefn_tf.schema import DType, Feature, Schema, cells, lists
from pipelines.preparation import encode, text_forms, wide_joins
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.findings import Finding, Report, Rule
from pipelines.preparation.wide_joins import Side

__all__ = ["Finding", "Report", "Rule", "apply", "typed", "unique_key", "validate"]

_EXAMPLES = 3


def typed(
    table: ir.Table,
    wanted: Mapping[str, DType | None],
    source: str,
    report: Report,
    words: Sequence[str] = (),
    comma: bool = False,
) -> ir.Table:
    """Selects the wanted columns of a raw table as their dtypes; None leaves a column as it is.

    A value that cannot be read as its dtype is a finding.

    Args:
        table: the raw table.
        wanted: dtypes by column.
        source: the file.
        report: takes the findings.
        words: the schema's `missing_words`.
        comma: whether a comma may stand before decimals.

    Raises:
        ValueError: if a wanted column is absent.
    """
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise ValueError(
            f"{source}: the columns {absent} must be there, received {list(table.columns)}"
            f"{nearest(absent[0], table.columns)}; give the complete raw file, or remove the "
            "features that need them from the schema"
        )
    rules, columns = [], {}
    for name, dtype in wanted.items():
        if dtype is None:
            columns[name] = table[name]
            continue
        columns[name] = text_forms.as_dtype(table[name], dtype, words, comma)
        if not text_forms.never_unreadable(table[name], dtype):
            broken = text_forms.unreadable(table[name], dtype, words, comma)
            rules.append(Rule(name, f"{text_forms.rule(dtype)} (in {source})", broken))
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
    joined = {i for i, side in enumerate(sides, 1) if side.joined}
    shown = [tuple(keys), *(tuple(keys) if side.joined else side.keys for side in sides)]
    rules = [(0, rule, rule) for rule in _label_rules(table, schema)]
    named: list[dict[str, ir.BooleanValue]] = [{} for _ in homes]
    named[0] |= _funnel(table, schema)
    words, longer = schema.missing_words, []
    for feature in schema.recorded:
        home = _home(feature, table, sides)
        # counted on the records, shown on the exposures
        counted_rules = _feature_rules(homes[home], feature, words)
        shown_rules = _feature_rules(table if home in joined else homes[home], feature, words)
        rules += [(home, *pair) for pair in zip(counted_rules, shown_rules, strict=True)]
        named[home][f"absent_{feature.name}"] = _absent(homes[home], feature, words)
        if feature.max_length is not None:
            length = encode.entries(homes[home], feature, words).length()
            named[home][f"longer_{feature.name}"] = length > feature.max_length
            longer.append(feature.name)
    for i, (home, rule, _) in enumerate(rules):
        named[home][f"broken_{i}"] = rule.broken
    counted = _counted(table, sides, named)
    report.rules += len(rules) + len(schema.recorded)
    for i, (home, _, rule) in enumerate(rules):
        rows = sum(row[f"broken_{i}"] or 0 for row in counted)
        if rows:
            place = table if home in joined else homes[home]
            report.findings.append(_finding(place, rule, rows, shown[home]))
    total = sum(row["rows"] for row in counted)
    for name in ("click", "conversion"):
        if total and not sum(row[f"some_{name}"] or 0 for row in counted):
            report.warnings.append(f"none of {total:,} rows has a {name}: nothing can be learned")
    for feature in schema.recorded:
        name = f"absent_{feature.name}"
        missing = sum(row[name] or 0 for row in counted)
        for row in counted:
            rates = report.missing.setdefault(row["part"], {})
            rates[feature.name] = (row[name] or 0) / row["rows"]
        if total and missing == total:
            report.warnings.append(f"{feature.source}: the column holds no value on any row")
        if total and missing / total > feature.max_missing_rate:
            text = f"may be missing on {feature.max_missing_rate:.2%} of rows at most"
            text += f", received {missing / total:.2%}"
            report.findings.append(Finding(feature.source, text, missing))
    for name in longer:
        rows = sum(row[f"longer_{name}"] or 0 for row in counted)
        if rows:
            report.shortened[name] = rows


def _home(feature: Feature, table: ir.Table, sides: Sequence[Side]) -> int:
    """Returns where a feature's values are counted: 0 for the exposures, else a side from 1."""
    needed = encode.raw_names(feature)
    for i, side in enumerate(sides, 1):
        if (side.joined and needed <= side.columns) or (
            feature.source not in table.columns and feature.source in side.table.columns
        ):
            return i
    return 0


def _counted(
    table: ir.Table, sides: Sequence[Side], named: Sequence[Mapping[str, ir.BooleanValue]]
) -> list[dict[str, Any]]:
    """Counts by part the exposures on which each flag is true, of their own or of their record."""
    own = table.select(part=table["part"], **named[0]).group_by("part")
    asked = [own.aggregate(rows=ibis._.count(), **{name: ibis._[name].sum() for name in named[0]})]
    for side, flags in zip(sides, named[1:], strict=True):
        shown = table.group_by(["part", *side.keys]).aggregate(rows=ibis._.count())
        shown = wide_joins.join(shown, side.table.select(*side.keys, **flags), side.keys)
        sums = {}
        for name in flags:
            flag = shown[name].fill_null(name.startswith("absent_"))
            sums[name] = ibis.ifelse(flag, shown["rows"], 0).sum()
        asked.append(shown.group_by("part").aggregate(**sums))
    found: dict[str, dict[str, Any]] = {}
    with translated_errors("checking the data"):
        for query in asked:
            for row in query.order_by("part").to_pyarrow().to_pylist():
                found.setdefault(row["part"], {}).update(row)
    return list(found.values())


def _funnel(table: ir.Table, schema: Schema) -> dict[str, ir.BooleanValue]:
    click, conversion = (table[name] == 1 for name in schema.labels.columns[:2])
    return {"some_click": click, "some_conversion": click & conversion}


def _label_rules(table: ir.Table, schema: Schema) -> Iterator[Rule]:
    labels = schema.labels
    for name in (labels.click, labels.conversion):
        broken = table[name].isnull() | ~table[name].isin([0, 1])
        yield Rule(name, "a label must be 0 or 1", broken)
    if encode.SAMPLE_WEIGHT in table.columns:
        weight = table[encode.SAMPLE_WEIGHT].cast("float64")
        broken = (weight < 0) | weight.isinf()
        yield Rule(encode.SAMPLE_WEIGHT, "must be 0 or more, and finite", broken)
    shown = labels.probability_column
    if shown is not None:
        if shown not in table.columns:
            raise ValueError(
                f"labels.exposure_probability: must name a column of the exposures, received "
                f"{shown!r}, which is none of them;\nadd the column, or write a constant"
            )
        value = table[shown].cast("float64")
        broken = value.isnull() | ~((value > 0) & (value <= 1))
        rule = "a probability must be above 0 and at most 1; a row that could not be shown is none"
        yield Rule(shown, rule, broken)
    if labels.exposure_time:
        time = table[labels.exposure_time]
        yield Rule(labels.exposure_time, "the exposure time must be there", time.isnull())


def _feature_rules(table: ir.Table, feature: Feature, words: Sequence[str]) -> Iterator[Rule]:
    if feature.multi_valued:
        yield from _list_rules(table, feature, words)
    elif feature.dtype != "string":
        yield from _number_rules(table, feature)


def _number_rules(table: ir.Table, feature: Feature) -> Iterator[Rule]:
    value = table[feature.source]
    if feature.minimum is not None:
        yield Rule(feature.source, f"must be at least {feature.minimum:g}", value < feature.minimum)
    if feature.maximum is not None:
        yield Rule(feature.source, f"must be at most {feature.maximum:g}", value > feature.maximum)
    if feature.dtype == "float32":
        beyond = value.cast("float64").abs() > cells.LARGEST_FLOAT32
        yield Rule(feature.source, "must be finite, and no number beyond float32", beyond)
    if feature.log1p:
        yield Rule(feature.source, "log1p needs values of 0 or more", value < 0)


def _list_rules(table: ir.Table, feature: Feature, words: Sequence[str]) -> Iterator[Rule]:
    raw = table[feature.source]
    if isinstance(raw, ir.StringValue):
        text, (first, last) = raw.strip(), cells.BRACKETS
        yield Rule(
            feature.source,
            "must be entries with a separator between them, without brackets; write a list "
            "column, or take the brackets away",
            text.startswith(first) & text.endswith(last),
        )
    entries = encode.entries(table, feature, words)
    broken = entries.filter(lambda entry: entry.isnull()).length() > 0
    yield Rule(feature.source, f"every entry {text_forms.rule(feature.dtype)}", broken)
    if feature.dtype != "string":
        for limit, word, outside in (
            (feature.minimum, "at least", lambda entry: entry < feature.minimum),
            (feature.maximum, "at most", lambda entry: entry > feature.maximum),
        ):
            if limit is not None:
                broken = entries.filter(outside).length() > 0
                yield Rule(feature.source, f"every entry must be {word} {limit:g}", broken)
    if feature.weights:
        weights = encode.entry_weights(table, feature, words)
        beside = feature.source
        places, others = (encode.pieces(table[c], feature) for c in (beside, feature.weights))
        unequal = places.length() != others.length()
        broken = weights.filter(lambda entry: entry.isnull() | entry.isinf()).length() > 0
        text = "every weight must be a finite number"
        yield Rule(feature.weights, text, broken & ~unequal, beside)
        text = f"must hold one weight for each entry of {beside}"
        yield Rule(feature.weights, text, unequal, beside)


def _absent(table: ir.Table, feature: Feature, words: Sequence[str]) -> ir.BooleanValue:
    if feature.multi_valued:
        return encode.entries(table, feature, words).length() == 0
    value = table[feature.source]
    if feature.kind in ("identity", "hash", "vocabulary") and feature.dtype == "int64":
        return value.isnull() | (value == lists.PADDING["int64"]).fill_null(False)
    return value.isnull()


def _finding(table: ir.Table, rule: Rule, rows: int, keys: Sequence[str]) -> Finding:
    shown = list(dict.fromkeys([rule.column, *([rule.beside] if rule.beside else []), *keys]))
    with translated_errors("checking the data"):
        found = table.filter(rule.broken).select(*shown).limit(_EXAMPLES).to_pyarrow().to_pylist()
    examples = tuple(", ".join(f"{k}={cells.shown(v)}" for k, v in row.items()) for row in found)
    return Finding(rule.column, rule.text, int(rows), examples)
