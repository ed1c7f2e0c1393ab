"""Preparation itself: the steps every data set goes through, whatever its raw form."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from idefn_tf.schema import Schema
from pipelines import checks, vocabularies
from pipelines.console import Console
from pipelines.datasets import card as cards
from pipelines.datasets import encode
from pipelines.datasets.ali_ccp import ALI_CCP
from pipelines.datasets.base import Dataset, Exposures, Request
from pipelines.datasets.engine import Engine, connect, translated_errors
from pipelines.datasets.kuairand_pure import KUAIRAND_PURE
from pipelines.datasets.simulated_funnel import SIMULATED_FUNNEL
from pipelines.datasets.split import ALL, NamedParts, Split, days, from_number
from pipelines.datasets.table import TABLE
from pipelines.datasets.writing import Slices
from pipelines.prepared import (
    CARD,
    SCHEMA,
    VOCABULARIES,
    Prepared,
    refuse_foreign,
    remove_leftovers,
    replacing,
    write_json,
)

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
#: Readers by the schema's name.
DATASETS: dict[str, Dataset] = {
    "ali_ccp": ALI_CCP,
    "kuairand_pure": KUAIRAND_PURE,
    "simulated_funnel": SIMULATED_FUNNEL,
    "table": TABLE,
}


@dataclass(frozen=True)
class Settings:
    """How preparation runs.

    Attributes:
        part_rows: rows in each Parquet file.
        memory: the most memory the engine may hold.
        threads: the engine's threads; all cores by default.
        engine: "duckdb", "spark" or a cluster's "spark://HOST:PORT"; the rows are the same.
        slice_rows: rows sorted at a time; memory follows it, the rows do not.
    """

    part_rows: int = 250_000
    memory: str = "2GB"
    threads: int | None = None
    engine: str = "duckdb"
    slice_rows: int = 500_000

    def __post_init__(self) -> None:
        for name in ("part_rows", "slice_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, received {getattr(self, name)}")


def prepare(
    name: str,
    raw: str | Path,
    out: str | Path,
    *,
    schema: Schema | None = None,
    options: Mapping[str, Any] | None = None,
    split: Split | None = None,
    settings: Settings | None = None,
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
        settings: how to run.
        console: where to say what is done; silent by default.

    Returns:
        The prepared folder.

    Raises:
        ValueError: if the raw data lack something, break the schema, or are too short to split.
    """
    dataset = _dataset(name)
    if schema is None and not dataset.schema:
        raise ValueError(
            f"--schema: {name} needs the schema of your table; propose one with "
            "python -m pipelines.schema infer"
        )
    schema = schema or Schema.load(SCHEMAS / dataset.schema)
    job = _Job(dataset, schema, Path(raw), Path(out), dict(options or {}), split)
    return job.run(settings or Settings(), console or Console(quiet=True))


def prepare_rows(
    schema: Schema,
    raw: str | Path,
    out: str | Path,
    vocabularies: str | Path | None = None,
    split: Split | None = None,
    *,
    settings: Settings | None = None,
    console: Console | None = None,
) -> Prepared:
    """Prepares every row of every log in a raw folder with a run's schema and vocabularies.

    Args:
        schema: the run's schema; its name says which reader is used, that of any table by default.
        raw: the raw folder.
        out: the prepared folder to write.
        vocabularies: the run's vocabularies folder, copied and never relearned; without it none
            are written.
        split: days of each part; by default all rows are one part called "all".
        settings: how to run.
        console: where to say what is done; silent by default.

    Returns:
        The prepared folder.

    Raises:
        ValueError: if the raw data lack something or break the schema.
    """
    learned = Path(vocabularies) if vocabularies is not None else None
    every = {"logs": "all"}
    split = split or Split({})
    dataset = DATASETS.get(schema.name, TABLE)
    job = _Job(dataset, schema, Path(raw), Path(out), every, split, False, learned)
    return job.run(settings or Settings(), console or Console(quiet=True))


def _dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise ValueError(f"name: {name!r} must be one of {sorted(DATASETS)}, as in the schema")
    return DATASETS[name]


@dataclass(frozen=True)
class _Job:
    """One preparation: `learns` vocabularies on train, or takes those of the folder `learned`."""

    dataset: Dataset
    schema: Schema
    raw: Path
    out: Path
    options: dict[str, Any]
    split: Split | None
    learns: bool = True
    learned: Path | None = None

    def run(self, settings: Settings, console: Console) -> Prepared:
        _check_schema(self.schema)
        refuse_foreign(self.out)
        _check_apart(self.raw, self.out)
        remove_leftovers(self.out)
        files = self.dataset.sources(self.raw, self.options)
        for group, size in _grouped(files):
            console.reading(group, f"({size / 1e6:.1f} MB)")
        sources = cards.describe_sources(files)
        options = self._options(settings)
        fingerprint = cards.fingerprint(self.schema, options, sources)
        if _is_current(self.out, fingerprint):
            console.note(f"{self.out} is already prepared from the same files, schema and options")
            return Prepared.open(self.out)
        with replacing(self.out) as building:
            work = building / ".work"
            work.mkdir()
            engine = connect(settings.engine, work, settings.memory, settings.threads)
            with engine:
                card = self._build(engine, building, files, settings, console)
            shutil.rmtree(work)
            card |= {"fingerprint": fingerprint, "options": options, "sources": sources}
            card |= self.dataset.extra(self.raw, building)
            card["files"] = cards.listed(building)
            write_json(building / CARD, card)
        cards.show(card, self.out, console)
        return Prepared.open(self.out)

    def _options(self, settings: Settings) -> dict[str, Any]:
        options = dict(self.options)
        options["split"] = (self.split.describe() or ALL) if self.split else "auto"
        options["part_rows"] = settings.part_rows
        if not self.learns:
            taken = sorted(self.learned.glob("*.json")) if self.learned else []
            options["vocabularies"] = cards.describe_sources(taken)
        return options

    def _build(
        self,
        engine: Engine,
        root: Path,
        files: Sequence[Path],
        settings: Settings,
        console: Console,
    ) -> dict[str, Any]:
        report = checks.Report()
        request = Request(files, self.schema, self.options, console)
        exposures = self.dataset.read(engine, request, report)
        _check_labels(exposures.table, self.schema)
        split = self.split or exposures.split
        if split is None:
            split = self.dataset.auto_split(days(exposures.table))
        rows, outside = _label(exposures, split, report)
        checks.validate(rows, self.schema, exposures.keys, report, exposures.sides)
        report.show(console)
        report.raise_if_failed()
        self.schema.save(root / SCHEMA)
        slices = Slices(engine, rows, exposures.sides, self.schema, settings.slice_rows)
        slices.write(root, split.parts, settings.part_rows, console)
        prepared = Prepared(root)
        parts = {part: engine.read_all(prepared.files(part)) for part in split.parts}
        reports = {part: engine.read_all(prepared.report_files(part)) for part in split.parts}
        if self.learns:
            console.step("learns vocabularies on train")
            vocabularies.learn(parts["train"], self.schema, root / VOCABULARIES)
        else:
            vocabularies.take(self.learned, root / VOCABULARIES)
        known = {}
        if self.learns or self.learned is not None:
            known = vocabularies.load(root / VOCABULARIES, self.schema)
        features = vocabularies.describe(parts, self.schema, known)
        for feature, entry in features.items():
            entry["missing"] = {part: report.missing[part][feature] for part in split.parts}
        return {
            "dataset": self.schema.name,
            "description": self.schema.description,
            "form": cards.FORM,
            "schema_hash": self.schema.hash,
            "days": split.describe(),
            "duplicates_dropped": exposures.duplicates,
            "rows_outside_split": outside,
            "splits": {part: cards.describe_part(parts[part], reports[part]) for part in parts},
            "features": features,
            "checks": report.as_json(),
        }


def _grouped(files: Sequence[Path]) -> list[tuple[str, int]]:
    """Names the files with their bytes; numbered files of one name stand together."""
    sizes: dict[str, int] = {}
    for file in files:
        name = str(file.with_name(re.sub(r"-\d{5}\.", "-*.", file.name)))
        sizes[name] = sizes.get(name, 0) + file.stat().st_size
    return list(sizes.items())


def _check_schema(schema: Schema) -> None:
    taken = {encode.EXPOSURE_TIME, "part"} & {feature.name for feature in schema.features}
    if taken:
        raise ValueError(f"schema: preparation keeps the names {sorted(taken)} to itself; rename")
    if schema.labels.attribution_window_hours is not None:
        raise ValueError(
            "labels.attribution_window_hours: preparation does not keep open windows apart yet; "
            "remove it, and leave out the rows whose window is still open"
        )


def _check_apart(raw: Path, out: Path) -> None:
    here = raw.resolve()
    if out.resolve() in (here, *here.parents):
        raise ValueError(f"--out: {out} must not hold the raw folder {raw}; choose another")


def _check_labels(table: ir.Table, schema: Schema) -> None:
    time = schema.labels.exposure_time
    needed = (*schema.labels.columns, *((time,) if time else ()))
    absent = [name for name in needed if name not in table.columns]
    if absent:
        raise ValueError(
            f"schema: `labels` names the raw columns {absent}, which no file holds; correct "
            f"`labels`, the log has {sorted(table.columns)}"
        )


def _is_current(out: Path, fingerprint: str) -> bool:
    try:
        card = Prepared.open(out).card
    except ValueError:
        return False
    return card.get("fingerprint") == fingerprint and cards.complete(out, card)


def _label(
    exposures: Exposures, split: Split | NamedParts, report: checks.Report
) -> tuple[ir.Table, int]:
    """Adds `part`; returns the rows inside the split and the number outside."""
    table = exposures.table.mutate(part=split.label(exposures.table))
    with translated_errors("reading the logs"):
        counted = table.group_by("part").aggregate(rows=lambda t: t.count()).to_pyarrow()
    rows = dict(zip(counted["part"].to_pylist(), counted["rows"].to_pylist(), strict=True))
    outside = rows.pop(None, 0)
    empty = [part for part in split.parts if not rows.get(part)]
    if empty:
        raise ValueError(
            f"--split: {' and '.join(empty)} would hold no exposure; {_held(exposures, rows)}"
        )
    if exposures.duplicates:
        report.notes.append(f"{exposures.duplicates:,} exact duplicate rows dropped")
    if outside:
        report.notes.append(f"{outside:,} exposures lie outside the days of the split: left out")
    return table.filter(table["part"].notnull()), outside


def _held(exposures: Exposures, rows: Mapping[str, int]) -> str:
    if "day" not in exposures.table.columns:
        return f"the raw files give {dict(rows)}"
    found = days(exposures.table)
    return f"the logs span {from_number(found[0])}..{from_number(found[-1])}"
