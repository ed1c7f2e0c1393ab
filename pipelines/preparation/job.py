"""One preparation, step by step: what every data set goes through, whatever its raw form."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from idefn_tf._files import write_json
from idefn_tf.data import find_files
from idefn_tf.history.event_log import until
from idefn_tf.history.kept_history import read_events
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.cli.folder_owner import owned
from pipelines.preparation import (
    attribution_window,
    checks,
    delay_curve,
    history,
    known_labels,
    preconditions,
    vocabularies,
    wide_joins,
)
from pipelines.preparation import card as cards
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.engines import connect
from pipelines.preparation.parquet_slices import Slices
from pipelines.preparation.prepared_folder import (
    CARD,
    SCHEMA,
    VOCABULARIES,
    Prepared,
    clear_leftovers,
    refuse_foreign,
    replacing,
)
from pipelines.preparation.raw_log import Dataset, Exposures, Request
from pipelines.preparation.shared_records import shared
from pipelines.preparation.split import ALL, NamedParts, Split, days, from_number
from pipelines.preparation.value_counts import ValueCounts

#: Rises with every change of the columns of delays, so that older folders are made anew.
_DELAYS = 2


@dataclass(frozen=True)
class Settings:
    """How preparation runs.

    Attributes:
        part_rows: rows in each Parquet file.
        memory: the most memory the engine may hold.
        threads: the engine's threads; all cores by default.
        engine: "duckdb", "spark" or a cluster's "spark://HOST:PORT"; the rows are the same.
        slice_rows: rows sorted at a time; memory follows it, the rows do not.
        replace: whether a folder that holds another preparation may be replaced.
    """

    part_rows: int = 250_000
    memory: str = "2GB"
    threads: int | None = None
    engine: str = "duckdb"
    slice_rows: int = 500_000
    replace: bool = True

    def __post_init__(self) -> None:
        for name in ("part_rows", "slice_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, received {getattr(self, name)}")


@dataclass(frozen=True)
class Job:
    """One preparation.

    Attributes:
        dataset: the reader.
        schema: what the columns are.
        raw: the raw folder.
        out: the prepared folder to write.
        options: the data set's own.
        split: the days of each part; the data set's own rule by default.
        learns: whether vocabularies are learned on train; else those of `learned` are taken.
        learned: a folder of vocabularies.
        base: a folder of vocabularies that training rows extend.
        as_of: the observation time; by default the log's end.
        events: earlier events that rows look back on: prepared folders, or files of exposures.
    """

    dataset: Dataset
    schema: Schema
    raw: Path
    out: Path
    options: dict[str, Any]
    split: Split | None
    learns: bool = True
    learned: Path | None = None
    base: Path | None = None
    as_of: int | None = None
    events: tuple[str, ...] = ()

    def run(self, settings: Settings, console: Console) -> Prepared:
        """Prepares, unless the folder already holds the same."""
        preconditions.check_schema(self.schema)
        refuse_foreign(self.out)
        preconditions.check_apart(self.raw, self.out)
        with owned(self.out, "prepare"):
            return self._run(settings, console)

    def _run(self, settings: Settings, console: Console) -> Prepared:
        clear_leftovers(self.out)
        files = self.dataset.sources(self.raw, self.options)
        for group, size in preconditions.grouped(files):
            console.reading(group, f"({size / 1e6:.1f} MB)")
        sources = cards.describe_sources(files)
        options = self._options(settings)
        fingerprint = cards.fingerprint(self.schema, options, sources)
        if preconditions.is_current(self.out, fingerprint):
            console.note(f"{self.out} is already prepared from the same files, schema and options")
            return Prepared.open(self.out)
        preconditions.tell_of_replaced(self.out, settings.replace, console)
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
        for key, folder in (("vocabularies", self.learned), ("base", self.base)):
            if folder is not None:
                options[key] = cards.describe_sources(sorted(folder.glob("*.json")))
        if not self.learns and self.learned is None:
            options["vocabularies"] = []
        if self.as_of is not None:
            options["as_of"] = self.as_of
        if self.schema.labels.delayed:
            options["form_of_delays"] = _DELAYS
        if self.events:
            options["events"] = [
                Prepared.open(place).card["fingerprint"]
                if Prepared.is_at(place)
                else cards.describe_sources(past_files(place))
                for place in self.events
            ]
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
        request = Request(files, self.schema, self.options, console, self.as_of)
        exposures = self.dataset.read(engine, request, report)
        preconditions.check_labels(exposures.table, self.schema)
        immature = exposures.immature
        if not immature:
            table, immature = attribution_window.apply(
                exposures.table, self.schema, self.as_of, report
            )
            exposures = replace(exposures, table=table, immature=immature)
        split = self.split or exposures.split
        if split is None:
            split = self.dataset.auto_split(days(exposures.table))
        rows, outside = _label(exposures, split, report)
        rows, immature = known_labels.apply(rows, self.schema, immature, report)
        checks.validate(rows, self.schema, exposures.keys, report, exposures.sides)
        report.show(console)
        report.raise_if_failed()
        self.schema.save(root / SCHEMA)
        if self.learns and self.base is None:
            rows = history.after_burn_in(rows, self.schema, console)
        past = self._look_back(engine, request, exposures, rows, report, immature)
        for note in past.card.get("notes", ()) if past is not None else ():
            console.note(f"history: {note}")
        added = None if past is None else past.added
        delays = delay_curve.describe(engine, rows, self.schema.labels)
        own = wide_joins.own(rows, exposures.sides)
        records = shared(engine, own, exposures.sides, self.schema, split.parts)
        slices = Slices(engine, own, records, self.schema, settings.slice_rows, added)
        slices.write(root, split.parts, settings.part_rows, console)
        if past is not None:
            past.write(root)
        prepared = Prepared(root)
        parts, reports = (
            {part: engine.read_all([*map(Path, files(part))]) for part in split.parts}
            for files in (prepared.files, prepared.report_files)
        )
        counts, extended = ValueCounts(parts, records=records), dict[str, Any]()
        if self.learns:
            console.step("learns vocabularies on train")
            vocabularies.learn(counts, self.schema, root / VOCABULARIES, self.base)
            if self.base is not None:
                extended = vocabularies.compare(self.base, root / VOCABULARIES, self.schema)
        else:
            vocabularies.copy_vocabularies(self.learned, root / VOCABULARIES)
        if past is not None:
            past.write_priors(root / VOCABULARIES)
        known = {}
        if self.learns or self.learned is not None:
            known = vocabularies.load(root / VOCABULARIES, self.schema)
        lists = {} if past is None else past.lists
        counts = replace(counts, given={name: found.parts for name, found in lists.items()})
        features = vocabularies.describe(counts, self.schema, known)
        for feature, entry in features.items():
            if feature in lists:
                entry["missing"] = dict(lists[feature].empty)
            if feature in report.missing[split.parts[0]]:
                entry["missing"] = {part: report.missing[part][feature] for part in split.parts}
        labels = known_labels.names(immature, split.parts, self.schema.labels)
        return {
            "dataset": self.schema.name,
            "description": self.schema.description,
            "form": cards.FORM,
            "schema_hash": self.schema.hash,
            "days": split.describe(),
            **_days_found(rows, split),
            "duplicates_dropped": exposures.duplicates,
            "rows_outside_split": outside,
            **({"labels": labels} if labels else {}),
            **({"delays": delays} if delays else {}),
            "splits": {part: cards.describe_part(parts[part], reports[part]) for part in parts},
            "features": features,
            **({"immature": dict(immature)} if immature else {}),
            **({"extended": extended} if extended else {}),
            **({"history": dict(past.card)} if past is not None else {}),
            "checks": report.as_json(),
        }

    def _look_back(
        self,
        engine: Engine,
        request: Request,
        exposures: Exposures,
        rows: ir.Table,
        report: checks.Report,
        immature: Mapping[str, Any],
    ) -> history.Past | None:
        earlier = []
        for place in self.events:
            if Prepared.is_at(place):
                earlier.append(read_events(place, self.schema, "--events"))
                continue
            found = self.dataset.events(engine, request, past_files(place), report)
            earlier.append(history.from_table(self.schema, found))
        priors = history.read_priors(self.base or self.learned)
        if self.as_of is not None:
            earlier = [until(log, self.as_of) for log in earlier]
        table = known_labels.masked(exposures.table, self.schema.labels, immature)
        sides = [side for side in exposures.sides if not side.joined]
        return history.look_back(engine, table, rows, sides, self.schema, earlier, priors)


def past_files(place: str) -> list[Path]:
    """Returns the files of events that `--events` names."""
    try:
        return [Path(file) for file in find_files(place)]
    except ValueError as error:
        raise ValueError(f"--events: {str(error).removeprefix('source: ')}") from None


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
        after = exposures.immature.get("after_as_of", {}).get("exposures", 0)
        why = f"; --as-of leaves out {after:,} later ones, of test too" if after else ""
        raise ValueError(
            f"--split: {' and '.join(empty)} would hold no exposure; {_held(exposures, rows)}{why}"
        )
    if exposures.duplicates:
        report.notes.append(f"{exposures.duplicates:,} exact duplicate rows dropped")
    if outside:
        report.notes.append(f"{outside:,} exposures lie outside the days of the split: left out")
    return table.filter(table["part"].notnull()), outside


def _days_found(rows: ir.Table, split: Split | NamedParts) -> dict[str, list[str]]:
    """Lists the days of rows that are not split, where they have days."""
    if split.describe() or "day" not in rows.columns:
        return {}
    return {"days_found": [str(from_number(day)) for day in days(rows)]}


def _held(exposures: Exposures, rows: Mapping[str, int]) -> str:
    if "day" not in exposures.table.columns:
        return f"the raw files give {dict(rows)}"
    found = days(exposures.table)
    return f"the logs span {from_number(found[0])}..{from_number(found[-1])}"
