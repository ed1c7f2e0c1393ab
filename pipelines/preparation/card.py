"""The data card: where the rows come from, how many, and what is known of every feature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

import idefn_tf
from idefn_tf.schema import CLICK, CONVERSION, Schema
from pipelines.cli.console import Console
from pipelines.preparation.engine import translated_errors

#: Rises with every change of the prepared form, so that older folders are made anew.
FORM = 1
_BLOCK = 1 << 20


def describe_sources(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Returns name, bytes and SHA-256 of the raw files."""
    return [
        {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)} for path in files
    ]


def sha256(path: Path) -> str:
    """Returns a file's SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(
    schema: Schema, options: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]
) -> str:
    """Returns digits that change with anything that could change the prepared rows."""
    parts = {
        "form": FORM,
        "version": idefn_tf.__version__,
        "schema": schema.digested(),
        "options": options,
        "sources": sources,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def describe_part(rows: ir.Table, reports: ir.Table) -> dict[str, Any]:
    """Counts a part's rows, clicks, conversions, probes, and the oracle's where it is known."""
    oracle = {}
    if "oracle_conversion" in reports.columns:
        oracle["oracle_conversions"] = reports["oracle_conversion"].sum()
    with translated_errors("counting rows"):
        funnel = rows.aggregate(
            rows=rows.count(), clicks=rows[CLICK].sum(), conversions=rows[CONVERSION].sum()
        )
        raw = reports.aggregate(
            conversions_raw=reports["conversion_raw"].sum(),
            probes=reports["probe"].cast("int64").sum(),
            **oracle,
        )
        counts = funnel.to_pyarrow().to_pylist()[0] | raw.to_pyarrow().to_pylist()[0]
    described: dict[str, Any] = {key: int(value or 0) for key, value in counts.items()}
    n, clicks = described["rows"], described["clicks"]
    described["ctr"] = clicks / n if n else None
    described["cvr"] = described["conversions"] / clicks if clicks else None
    described["ctcvr"] = described["conversions"] / n if n else None
    if oracle:
        described["oracle_cvr"] = described["oracle_conversions"] / n if n else None
    return described


def listed(root: Path) -> list[dict[str, Any]]:
    """Lists every file under a folder with its size, in the order of names."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [{"file": str(p.relative_to(root)), "bytes": p.stat().st_size} for p in files]


def complete(root: Path, card: Mapping[str, Any]) -> bool:
    """Whether every file that the card lists is there in its size."""
    return all(
        (root / entry["file"]).is_file() and (root / entry["file"]).stat().st_size == entry["bytes"]
        for entry in card.get("files", ())
    )


def show(card: Mapping[str, Any], out: Path, console: Console) -> None:
    """Prints the counts of every part, and where the rows were written."""
    counts, rates = ("rows", "clicks", "conversions", "probes"), ("ctr", "cvr", "ctcvr")
    lines = []
    for part, found in card["splits"].items():
        shown = ["" if found[rate] is None else f"{found[rate]:.4f}" for rate in rates]
        lines.append([part, card["days"].get(part, ""), *(f"{found[c]:,}" for c in counts), *shown])
    columns = ["part", "days", *counts, "CTR", "CVR", "CTCVR"]
    console.table(f"{card['dataset']}: exposures", columns, lines)
    console.wrote(out, f"({len(card['files']) + 1} files)")
