"""What the checks of raw data find: broken rules, notes, warnings and missing rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ibis.expr.types as ir

from pipelines.cli.console import Console


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
        warnings: what is probably not wanted, said loudly.
        missing: per part of the split, per feature, the share of rows without a value.
        shortened: per feature, the rows whose list was longer than `max_length`.
        rules: how many rules were checked.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
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
        for warning in self.warnings:
            console.warn(warning)
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
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Rule:
    """A predicate that is true on rows which break the rule; `beside` is shown with the column."""

    column: str
    text: str
    broken: ir.BooleanValue
    beside: str | None = None
