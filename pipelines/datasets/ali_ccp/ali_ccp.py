"""Ali-CCP (Ma et al., SIGIR 2018): the raw four files, official train and test parts.

``sample_skeleton_{train,test}.csv`` hold an exposure a line with the item's features,
``common_features_{train,test}.csv`` the users' features, which many exposures share. A feature is
a raw column under its field's id ("205"), its value under ``205_value``; the schema names them.
There are no dates: validation is a share of the train rows, drawn by a hash of ``sample_id``.
Conversions without a click stay as probes. The terms of use forbid redistribution, so everybody
prepares a copy of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.schema import Schema
from pipelines.datasets.ali_ccp import ali_ccp_files as files
from pipelines.datasets.ali_ccp.ali_ccp_lines import (
    COMMON_HEAD,
    INDEX,
    SKELETON_HEAD,
    Column,
    Layout,
    Tally,
)
from pipelines.preparation.checks import Finding, Report
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.raw_log import Dataset, Exposures, Request
from pipelines.preparation.split import NamedParts, Split
from pipelines.preparation.wide_joins import Side

#: The fields of each kind of file.
FIELDS = {
    "common": (
        "101", "109_14", "110_14", "127_14", "150_14", "121", "122", "124", "125", "126", "127",
        "128", "129",
    ),
    "skeleton": ("205", "206", "207", "210", "216", "508", "509", "702", "853", "301"),
}  # fmt: skip
_STEMS = {"common": "common_features", "skeleton": "sample_skeleton"}
_ORIGINS = ("train", "test")
_KEYS = ("origin", INDEX)
#: Options and their defaults.
VALIDATION_SHARE, SEED, MALFORMED_SHARE = 0.1, 0, 0.001


def sources(raw: Path, options: Mapping[str, Any]) -> list[Path]:
    """Lists the common and the skeleton file of train, then those of test.

    Either pair may be absent: rows of one part alone can be prepared with a run's vocabularies.

    Raises:
        ValueError: if there is no pair, or only half of one; or an option is out of range.
    """
    for name, default in (
        ("validation_share", VALIDATION_SHARE),
        ("malformed_share", MALFORMED_SHARE),
    ):
        value = options.get(name, default)
        if not 0 <= value < 1:
            raise ValueError(f"--{name.replace('_', '-')}: must lie in 0..1, received {value}")
    found: list[Path] = []
    for origin in _ORIGINS:
        names = [f"{stem}_{origin}.csv" for stem in _STEMS.values()]
        pair = {name: _file(raw, name) for name in names}
        if not any(pair.values()):
            continue
        for name, path in pair.items():
            if path is None:
                raise ValueError(f"--raw: {raw} must hold {name} beside its other half; add it")
            found.append(path)
    if not found:
        held = sorted(p.name for p in raw.iterdir())[:12] if raw.is_dir() else "no folder"
        raise ValueError(
            f"--raw: {raw} must hold sample_skeleton_train.csv, common_features_train.csv and the "
            f"same of test, received {held}; download Ali-CCP from "
            "https://tianchi.aliyun.com/dataset/408 and unpack it there"
        )
    return found


def _file(raw: Path, name: str) -> Path | None:
    found = [path for path in (raw / name, *sorted(raw.glob(f"*/{name}"))) if path.is_file()]
    return found[0] if found else None


def read(engine: Engine, request: Request, report: Report) -> Exposures:
    """Builds one row per well-formed skeleton line; common features stay a side table."""
    options = request.options
    share = options.get("validation_share", VALIDATION_SHARE)
    seed = options.get("seed", SEED)
    columns = _columns(request.schema)
    made: dict[str, list[Path]] = {kind: [] for kind in _STEMS}
    rows = dict.fromkeys(_STEMS, 0)
    for path in request.files:
        kind = next(kind for kind, stem in _STEMS.items() if path.name.startswith(stem))
        origin = path.stem.rpartition("_")[2]
        head = COMMON_HEAD if kind == "common" else SKELETON_HEAD
        conversion = files.Conversion(
            path,
            Layout(head, FIELDS[kind], tuple(columns[kind])),
            options.get("malformed_share", MALFORMED_SHARE),
            partial(_complete, origin=origin, share=share, seed=seed, first=rows[kind]),
            engine.threads,
        )
        out = engine.work / f"{path.stem}.parquet"
        with request.console.progress(f"reads {path.name}", path.stat().st_size) as advance:
            tally = conversion.run(out, advance)
        _note(path, tally, report)
        rows[kind] += tally.lines - tally.malformed
        made[kind].append(out)
    log = engine.read_all(made["skeleton"])
    common = _distinct(engine.read_all(made["common"]), report)
    report.raise_if_failed()
    with translated_errors("reading the common features"):
        strangers = int(log.anti_join(common, list(_KEYS)).count().execute())
    if strangers:
        report.notes.append(
            f"{strangers:,} exposures have a {INDEX} that the common features do not hold; "
            "their user's features are missing there"
        )
    rules = {
        "train": f"the other {100 * (1 - share):g}% of sample_skeleton_train",
        "validation": f"{100 * share:g}% of sample_skeleton_train, by hash of sample_id, "
        f"seed {seed}",
        "test": "sample_skeleton_test",
    }
    side = Side(common, _KEYS)
    return Exposures(log, keys=("sample_id", INDEX), sides=(side,), split=NamedParts(rules))


def _columns(schema: Schema) -> dict[str, list[Column]]:
    """Returns the fields that the schema needs from each kind of file.

    Raises:
        ValueError: if it names a raw column that no file holds, or one both as value and as list.
    """
    known = {field: kind for kind, fields in FIELDS.items() for field in fields}
    lengths: dict[str, int | None] = {}
    needed: set[str] = set()
    for feature in schema.recorded:
        # one entry more than is kept, so that the checks see which lists are shortened
        length = feature.max_length + 1 if feature.max_length is not None else None
        for name in (feature.source, *((feature.weights,) if feature.weights else ())):
            field = name.removesuffix("_value")
            if field not in known:
                raise ValueError(
                    f"schema: the feature {feature.name!r} needs the raw column {name!r}, which "
                    f"no file holds; the fields are {sorted(known)}, their values FIELD_value"
                )
            needed.add(name)
            if field in lengths and (lengths[field] is None) != (length is None):
                raise ValueError(
                    f"schema: {feature.name!r} reads the field {field} otherwise than another "
                    "feature; give both max_length, or neither"
                )
            lengths[field] = None if length is None else max(length, lengths.get(field) or 0)
    columns: dict[str, list[Column]] = {kind: [] for kind in FIELDS}
    for field, kind in known.items():
        if field in lengths:
            values = f"{field}_value" in needed
            columns[kind].append(Column(field, field in needed, values, lengths[field]))
    return columns


def _complete(
    table: pa.Table, before: int, *, origin: str, share: float, seed: int, first: int
) -> pa.Table:
    """Adds where a block's rows come from, their number, and the part of exposures."""
    count = table.num_rows
    number = np.arange(first + before, first + before + count)
    added = {"row_id": pa.array(number), "origin": pa.repeat(origin, count)}
    if "sample_id" in table.column_names:
        added["part"] = added["origin"]
        if origin == "train":
            drawn = pa.array(files.drawn(table["sample_id"].to_numpy(), share, seed))
            added["part"] = pc.if_else(drawn, "validation", origin)
    for name, column in added.items():
        table = table.append_column(name, column)
    return table


def _note(path: Path, tally: Tally, report: Report) -> None:
    if tally.malformed:
        report.notes.append(f"{path.name}: {files.malformed(tally)}; left out")
    for field, lines in sorted(tally.repeated.items()):
        report.notes.append(
            f"{path.name}: {lines:,} lines hold field {field} more than once; its first id is taken"
        )
    if tally.unknown:
        shown = ", ".join(f"{field} ({n:,})" for field, n in tally.unknown.most_common(5))
        report.notes.append(f"{path.name} holds fields that nothing uses: {shown}")


def _distinct(common: ir.Table, report: Report) -> ir.Table:
    """Drops records that repeat another one; a key with two different ones is a finding."""
    counted = common.group_by(list(_KEYS)).aggregate(
        records=common.count(), row_id=common["row_id"].min()
    )
    again = counted.filter(counted["records"] > 1)
    report.rules += 1
    with translated_errors("reading the common features"):
        keys = int(again.count().execute())
        if not keys:
            return common.drop("row_id")
        dropped = int(again["records"].sum().execute()) - keys
        records = common.semi_join(again, list(_KEYS)).drop("row_id").distinct()
        unlike = records.group_by(list(_KEYS)).aggregate(records=records.count())
        unlike = unlike.filter(unlike["records"] > 1).order_by(list(_KEYS))
        found = int(unlike.count().execute())
        shown = unlike.limit(3).to_pyarrow().to_pylist() if found else []
    if found:
        rule = "must stand for one record in each common_features file, received different ones"
        examples = tuple(f"{row[INDEX]} in {row['origin']}" for row in shown)
        report.findings.append(Finding(INDEX, rule, found, examples))
    report.notes.append(f"{dropped:,} common records repeat another one: dropped")
    return common.semi_join(counted, ["row_id"]).drop("row_id")


def _no_days(days: Sequence[int]) -> Split:
    raise ValueError("--split: Ali-CCP has no days")


ALI_CCP = Dataset(
    command="ali-ccp", schema="ali_ccp.yaml", sources=sources, read=read, auto_split=_no_days
)
