"""Preparation itself: the data sets that it knows, and its two ways of running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.ali_ccp.ali_ccp import ALI_CCP
from pipelines.datasets.kuairand_pure import KUAIRAND_PURE
from pipelines.datasets.simulated_funnel.simulated_funnel import SIMULATED_FUNNEL
from pipelines.datasets.table.table import TABLE
from pipelines.preparation.job import Job, Settings
from pipelines.preparation.prepared_folder import Prepared
from pipelines.preparation.raw_log import Dataset
from pipelines.preparation.split import Split

__all__ = ["DATASETS", "SCHEMAS", "Settings", "prepare", "prepare_rows"]

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
#: Readers by the schema's name.
DATASETS: dict[str, Dataset] = {
    "ali_ccp": ALI_CCP,
    "kuairand_pure": KUAIRAND_PURE,
    "simulated_funnel": SIMULATED_FUNNEL,
    "table": TABLE,
}


def prepare(
    name: str,
    raw: str | Path,
    out: str | Path,
    *,
    schema: Schema | None = None,
    options: Mapping[str, Any] | None = None,
    split: Split | None = None,
    base: str | Path | Prepared | None = None,
    as_of: int | None = None,
    events: Sequence[str] = (),
    settings: Settings | None = None,
    console: Console | None = None,
) -> Prepared:
    """Prepares a raw folder: train, validation and test by date, vocabularies from train only.

    Running it again with the same raw files, schema and options changes nothing; a run that is
    interrupted leaves what was there before.

    With `base`, the rows continue an earlier prepared folder: its schema, means and deviations are
    kept, and ids that its vocabularies do not know take the free places of their headroom, so that
    a run on it can go on with these rows (`pipelines.train --from`).

    Args:
        name: the data set, a key of `DATASETS`.
        raw: the raw folder.
        out: the prepared folder to write.
        schema: what the columns are; the data set's shipped schema by default.
        options: the data set's own options (`logs` of KuaiRand).
        split: the days of each part; the data set's own rule by default.
        base: an earlier prepared folder to continue, or its address.
        as_of: the observation time, in the schema's time unit: later exposures are left out, later
            clicks and conversions are not known in train and validation, and it decides which
            attribution windows are open. The log's latest time by default.
        events: earlier exposures that the schema's `history` and `sequences` look back on:
            prepared folders, or files with the schema's raw columns.
        settings: how to run.
        console: where to say what is done; silent by default.

    Returns:
        The prepared folder.

    Raises:
        ValueError: if the raw data lack something, break the schema, or are too short to split; or
            if `base` has another schema.
    """
    dataset = _dataset(name)
    earlier = None if base is None else Prepared.open(base)
    if earlier is not None:
        schema = schema or earlier.schema
        if schema != earlier.schema:
            raise ValueError(
                f"--base: {earlier.place} was prepared with another schema; prepare both with one"
            )
    if schema is None and not dataset.schema:
        raise ValueError(
            f"--schema: {name} needs the schema of your table; propose one with "
            "python -m pipelines.schema infer"
        )
    schema = schema or Schema.load(SCHEMAS / dataset.schema)
    job = Job(dataset, schema, Path(raw), Path(out), dict(options or {}), split)
    job = replace(
        job,
        as_of=as_of,
        base=None if earlier is None else earlier.vocabularies,
        events=tuple(events),
    )
    return job.run(settings or Settings(), console or Console(quiet=True))


def prepare_rows(
    schema: Schema,
    raw: str | Path,
    out: str | Path,
    vocabularies: str | Path | None = None,
    split: Split | None = None,
    *,
    events: Sequence[str] = (),
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
        events: earlier exposures, as in `prepare`.
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
    job = Job(
        dataset, schema, Path(raw), Path(out), every, split, False, learned, events=tuple(events)
    )
    return job.run(settings or Settings(), console or Console(quiet=True))


def _dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise ValueError(f"name: {name!r} must be one of {sorted(DATASETS)}, as in the schema")
    return DATASETS[name]
