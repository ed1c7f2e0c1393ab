"""From raw logs to prepared Parquet, vocabularies and a data card.

``python -m pipelines.prepare kuairand-pure --raw DIR --out DIR``
``python -m pipelines.prepare simulated-funnel --out DIR --exposures 120000 --preset kuai``
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from idefn_tf.schema import Schema
from pipelines import checks, vocabularies
from pipelines.console import Console, add_arguments, run_job
from pipelines.datasets import card as cards
from pipelines.datasets import encode
from pipelines.datasets.base import Dataset, Exposures
from pipelines.datasets.engine import Engine, translated_errors
from pipelines.datasets.kuairand_pure import KUAIRAND_PURE
from pipelines.datasets.split import Split, from_number, parse
from pipelines.prepared import CARD, SCHEMA, VOCABULARIES, Prepared, refuse_foreign, replacing
from pipelines.prepared import write_json, write_part

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
DATASETS: dict[str, Dataset] = {"kuairand_pure": KUAIRAND_PURE}
PART_ROWS = 250_000
_BATCH_ROWS = 65_536


def prepare(
    name: str,
    raw: str | Path,
    out: str | Path,
    *,
    schema: Schema | None = None,
    options: Mapping[str, Any] | None = None,
    split: Split | None = None,
    part_rows: int = PART_ROWS,
    memory: str = "2GB",
    threads: int | None = None,
    console: Console | None = None,
) -> Prepared:
    """Prepares a raw folder: train, validation and test by date, vocabularies from train only.

    Running it again with the same raw files, schema and options changes nothing; a run that is
    interrupted leaves what was there before.

    Args:
        name: the data set, a key of `DATASETS`.
        raw: the raw folder.
        out: the prepared folder to write.
        schema: what the columns are; the data set's shipped schema by default.
        options: the data set's own options (`logs` of KuaiRand).
        split: the days of each part; the data set's own rule by default.
        part_rows: rows in each Parquet file.
        memory: the most memory the engine may hold.
        threads: the engine's threads; all cores by default.
        console: where to say what is done; silent by default.

    Returns:
        The prepared folder.

    Raises:
        ValueError: if the raw data lack something, break the schema, or are too short to split.
    """
    dataset = _dataset(name)
    schema = schema or Schema.load(SCHEMAS / dataset.schema)
    return _prepare(
        dataset, schema, Path(raw), Path(out), dict(options or {}), split, False, None,
        part_rows, memory, threads, console or Console(quiet=True),
    )  # fmt: skip


def prepare_rows(
    schema: Schema,
    raw: str | Path,
    out: str | Path,
    vocabularies: str | Path | None = None,
    split: Split | None = None,
    *,
    part_rows: int = PART_ROWS,
    memory: str = "2GB",
    threads: int | None = None,
    console: Console | None = None,
) -> Prepared:
    """Prepares every row of every log in a raw folder with a run's schema and vocabularies.

    Args:
        schema: the run's schema; its name says which reader is used.
        raw: the raw folder.
        out: the prepared folder to write.
        vocabularies: the run's vocabularies folder, copied and never relearned; without it none
            are written.
        split: days of each part; by default all rows are one part called "all".
        part_rows: rows in each Parquet file.
        memory: the most memory the engine may hold.
        threads: the engine's threads; all cores by default.
        console: where to say what is done; silent by default.

    Returns:
        The prepared folder.

    Raises:
        ValueError: if the raw data lack something or break the schema.
    """
    learned = Path(vocabularies) if vocabularies is not None else None
    return _prepare(
        _dataset(schema.name), schema, Path(raw), Path(out), {"logs": "all"}, split or Split({}),
        True, learned, part_rows, memory, threads, console or Console(quiet=True),
    )  # fmt: skip


def _dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise ValueError(f"name: {name!r} must be one of {sorted(DATASETS)}, as in the schema")
    return DATASETS[name]


def _prepare(
    dataset: Dataset,
    schema: Schema,
    raw: Path,
    out: Path,
    options: dict[str, Any],
    split: Split | None,
    given: bool,
    learned: Path | None,
    part_rows: int,
    memory: str,
    threads: int | None,
    console: Console,
) -> Prepared:
    _check_request(schema, part_rows)
    refuse_foreign(out)
    files = dataset.sources(raw, options)
    for file in files:
        console.reading(str(file), f"({file.stat().st_size / 1e6:.1f} MB)")
    sources = cards.describe_sources(files)
    chosen = {**options, "split": split.describe() if split else "auto", "part_rows": part_rows}
    if given:
        taken = sorted(learned.glob("*.json")) if learned else []
        chosen["vocabularies"] = cards.describe_sources(taken)
    print_ = cards.fingerprint(schema, chosen, sources)
    if _is_current(out, print_):
        console.note(f"{out} is already prepared from the same files, schema and options")
        return Prepared.open(out)
    with replacing(out) as building:
        work = building / ".work"
        work.mkdir()
        report = checks.Report()
        with Engine(work, memory, threads) as engine:
            exposures = dataset.read(engine, files, schema, report)
            split = split or dataset.auto_split(_days(exposures.table))
            rows, outside = _label(engine, exposures, split, report)
            checks.validate(rows, schema, exposures.keys, report)
            report.show(console)
            report.raise_if_failed()
            schema.save(building / SCHEMA)
            _write(engine, building, rows, schema, split.parts, part_rows, console)
            parts = {p: engine.read_all(Prepared(building).files(p)) for p in split.parts}
            reports = {p: engine.read_all(Prepared(building).report_files(p)) for p in split.parts}
            if given:
                _copy(learned, building / VOCABULARIES)
            else:
                console.step("learns vocabularies on train")
                vocabularies.learn(parts["train"], schema, building / VOCABULARIES)
            known = {}
            if not given or learned is not None:
                known = vocabularies.load(building / VOCABULARIES, schema)
            features = vocabularies.describe(parts, schema, known)
            for feature, entry in features.items():
                entry["missing"] = {p: report.missing[p][feature] for p in split.parts}
            card = {
                "dataset": schema.name,
                "description": schema.description,
                "form": cards.FORM,
                "fingerprint": print_,
                "schema_hash": schema.hash,
                "options": chosen,
                "sources": sources,
                "days": split.describe(),
                "duplicates_dropped": exposures.duplicates,
                "rows_outside_split": outside,
                "splits": {p: cards.describe_part(parts[p], reports[p]) for p in split.parts},
                "features": features,
                "checks": report.as_json(),
            }
        shutil.rmtree(work)
        card |= dataset.extra(raw, building)
        card["files"] = cards.listed(building)
        write_json(building / CARD, card)
    _show(card, out, console)
    return Prepared.open(out)


def _check_request(schema: Schema, part_rows: int) -> None:
    if part_rows < 1:
        raise ValueError(f"part_rows: must be at least 1, received {part_rows}")
    names = {encode.EXPOSURE_TIME, "part"} & {f.name for f in schema.features}
    if names:
        raise ValueError(f"schema: preparation keeps the names {sorted(names)} for itself; rename")
    if schema.labels.attribution_window_hours is not None:
        raise ValueError(
            "labels.attribution_window_hours: preparation does not keep open windows apart yet; "
            "remove it, and leave out the rows whose window is still open"
        )


def _is_current(out: Path, fingerprint: str) -> bool:
    if not (out / CARD).is_file():
        return False
    try:
        card = Prepared.open(out).card
    except ValueError:
        return False
    return card.get("fingerprint") == fingerprint and cards.complete(out, card)


def _days(table: ir.Table) -> list[int]:
    with translated_errors("reading the logs"):
        found = table.select("day").distinct().order_by("day").to_pyarrow()["day"].to_pylist()
    if not found:
        raise ValueError("--raw: the logs must hold at least one exposure, received none")
    return [day for day in found if day is not None and from_number(day)]


def _label(
    engine: Engine, exposures: Exposures, split: Split, report: checks.Report
) -> tuple[ir.Table, int]:
    """Adds `part`; returns the rows inside the split and the number outside."""
    table = exposures.table.mutate(part=split.label(exposures.table["day"]))
    with translated_errors("reading the logs"):
        counted = (
            table.group_by("part").aggregate(rows=lambda t: t.count()).to_pyarrow().to_pylist()
        )
    rows = {row["part"]: row["rows"] for row in counted}
    outside = rows.pop(None, 0)
    empty = [part for part in split.parts if not rows.get(part)]
    if empty:
        days = _days(exposures.table)
        raise ValueError(
            f"--split: {' and '.join(empty)} would hold no exposure; the logs span "
            f"{from_number(days[0])}..{from_number(days[-1])}"
        )
    if outside:
        report.notes.append(f"{outside:,} exposures lie outside the days of the split: left out")
    if exposures.duplicates:
        report.notes.append(f"{exposures.duplicates:,} exact duplicate rows dropped")
    return table.filter(table["part"].notnull()), outside


def _write(
    engine: Engine,
    root: Path,
    rows: ir.Table,
    schema: Schema,
    parts: Sequence[str],
    part_rows: int,
    console: Console,
) -> None:
    features = encode.prepared_columns(rows, schema)
    report = encode.report_columns(rows, schema)
    wide = rows.select(
        **features, **{k: v for k, v in report.items() if k != "row_id"}, part="part"
    )
    forms = [wide.select(*names).schema().to_pyarrow() for names in (features, report)]
    with translated_errors("counting rows"):
        total = rows.count().execute()
    with console.progress(f"writes {total:,} rows", total) as advance:
        for part in parts:
            ordered = wide.filter(wide["part"] == part).drop("part").order_by("row_id")
            batches = engine.batches(ordered, _BATCH_ROWS)
            for n in write_part(root, part, batches, *forms, part_rows):
                advance(n)


def _copy(learned: Path | None, folder: Path) -> None:
    folder.mkdir()
    for path in sorted(learned.glob("*.json")) if learned else []:
        shutil.copyfile(path, folder / path.name)


def _show(card: Mapping[str, Any], out: Path, console: Console) -> None:
    def rate(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}"

    console.table(
        f"{card['dataset']}: exposures",
        ["part", "days", "rows", "clicks", "conversions", "probes", "CTR", "CVR", "CTCVR"],
        [
            (part, card["days"].get(part, ""), *(f"{s[k]:,}" for k in ("rows", "clicks", "conversions", "probes")),
             rate(s["ctr"]), rate(s["cvr"]), rate(s["ctcvr"]))
            for part, s in card["splits"].items()
        ],
    )  # fmt: skip
    console.wrote(out, f"({len(card['files']) + 1} files)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.prepare", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    kuairand = commands.add_parser("kuairand-pure", help="the official files or tables like them")
    kuairand.add_argument("--raw", type=Path, required=True, help="folder with the raw files")
    kuairand.add_argument("--logs", choices=["standard", "random", "all"], default=None)
    for sub in commands.choices.values():
        sub.add_argument("--out", type=Path, required=True, help="prepared folder to write")
        sub.add_argument("--schema", type=Path, help="a schema instead of the shipped one")
        sub.add_argument(
            "--split", default="auto", help="auto, or train=FIRST..LAST,validation=...,test=..."
        )
        sub.add_argument("--part-rows", type=int, default=PART_ROWS, help="rows per Parquet file")
        sub.add_argument("--memory", default="2GB", help="the engine's memory (default 2GB)")
        sub.add_argument("--threads", type=int, help="the engine's threads (default: all cores)")
        add_arguments(sub)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    console = Console(quiet=given.quiet)
    return run_job(lambda: _run(given, console), console)


def _run(given: argparse.Namespace, console: Console) -> None:
    schema = Schema.load(given.schema) if given.schema else None
    shared = {
        "schema": schema,
        "split": parse(given.split),
        "part_rows": given.part_rows,
        "memory": given.memory,
        "threads": given.threads,
        "console": console,
    }
    prepare("kuairand_pure", given.raw, given.out, options={"logs": given.logs}, **shared)


if __name__ == "__main__":
    sys.exit(main())
