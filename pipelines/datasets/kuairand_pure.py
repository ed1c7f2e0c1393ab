"""KuaiRand-Pure (Gao et al., CIKM 2022): the official files, or tables of the same form.

Reads ``log_standard_*`` and ``log_random_*`` (CSV or Parquet), ``user_features_pure`` and
``video_features_basic_pure``. A click is ``is_click``, a conversion ``is_like``. The official
standard log repeats 21,987 rows exactly; they are dropped before splitting, or one row would
land in train and in test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from idefn_tf.history import event_log
from idefn_tf.schema import DType
from pipelines.preparation import checks, encode, lookup_tables
from pipelines.preparation.checks import Report
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.raw_log import Dataset, Exposures, Request
from pipelines.preparation.split import Split, last_days, number

#: The raw log's columns, all integers; they also put equal times in order.
LOG_COLUMNS = (
    "user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like", "is_follow",
    "is_comment", "is_forward", "is_hate", "long_view", "play_time_ms", "duration_ms",
    "profile_stay_time", "comment_stay_time", "is_profile_enter", "is_rand", "tab",
)  # fmt: skip
#: Without these there is no exposure, no label and no split.
_NEEDED = ("user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like")
_OFFICIAL_DAYS = (date(2022, 4, 8), date(2022, 5, 8))
_OFFICIAL_SPLIT = {
    "train": (date(2022, 4, 8), date(2022, 4, 19)),
    "validation": (date(2022, 4, 20), date(2022, 4, 21)),
    "test": (date(2022, 4, 22), date(2022, 5, 8)),
}
_SIDES = {"user_id": "user_features_pure", "video_id": "video_features_basic_pure"}


def sources(raw: Path, options: Mapping[str, Any]) -> list[Path]:
    """Lists the log files that `logs` asks for, then the side tables that are there.

    Args:
        raw: the folder, or the unpacked archive's folder that holds ``data/``.
        options: `logs` is "standard", "random", "all", or None for standard where there is one.

    Raises:
        ValueError: if there is no such log.
    """
    folder = _folder(raw)
    logs = options.get("logs")
    found = {kind: _tables(folder, f"log_{kind}_*") for kind in ("standard", "random")}
    if logs is None:
        logs = "standard" if found["standard"] else "random"
    chosen = [
        path for kind, paths in found.items() if logs in (kind, "all") for path in paths
    ]  # fmt: skip
    if not chosen:
        raise ValueError(
            f"--raw: {raw} must hold log_{'*' if logs == 'all' else logs}_* files (.csv or "
            f".parquet), received {sorted(p.name for p in raw.iterdir())[:12]}; "
            "download KuaiRand-Pure from https://zenodo.org/records/10439422 and unpack it there"
        )
    for stem in _SIDES.values():
        side = _tables(folder, stem)
        if len(side) > 1:
            raise ValueError(f"--raw: {folder} must hold one {stem}, received {len(side)}")
        chosen += side
    return chosen


def read(engine: Engine, request: Request, report: Report) -> Exposures:
    """Builds one row per distinct exposure with its user's and its video's columns."""
    files = request.files
    found = {key: path for path in files for key, stem in _SIDES.items() if path.stem == stem}
    logs = [path for path in files if path not in found.values()]
    raw_logs = [(path, engine.read(path)) for path in logs]
    common = [c for c in LOG_COLUMNS if all(c in table.columns for _, table in raw_logs)]
    wanted: dict[str, DType | None] = {
        name: "int64" for name in LOG_COLUMNS if name in common or name in _NEEDED
    }
    times = [name for name in request.schema.labels.times if name not in LOG_COLUMNS]
    wanted |= dict.fromkeys(times, "int64")
    wanted |= encode.probability_column(request.schema)
    parts = []
    for path, table in raw_logs:
        known = (*LOG_COLUMNS, *times, *encode.probability_column(request.schema))
        _note_columns(path, table, known, report)
        parts.append(checks.typed(table, wanted, path.name, report))
    report.raise_if_failed()
    union = ibis.union(*parts) if len(parts) > 1 else parts[0]
    with translated_errors("reading the logs"):
        total = sum(table.count().execute() for _, table in raw_logs)
    log = union.distinct()
    order = ["time_ms", *(name for name in wanted if name != "time_ms")]
    log = engine.numbered(log.mutate(day=log["date"], hour=log["hourmin"] // 100), order, "row_id")
    with translated_errors("reading the logs"):
        kept = log.count().execute()
    stems = {key: f"{stem}.csv" for key, stem in _SIDES.items()}
    table, sides = lookup_tables.join(engine, log, found, stems, request.schema, report)
    keys = ("user_id", "video_id", "time_ms")
    return Exposures(table, duplicates=int(total - kept), keys=keys, sides=sides)


def read_events(
    engine: Engine, request: Request, files: Sequence[Path], report: Report
) -> pa.Table:
    """Reads earlier exposures and joins what is known of their users and videos."""
    found = {key: p for p in request.files for key, stem in _SIDES.items() if p.stem == stem}
    tables = [engine.read(path) for path in files]
    union = ibis.union(*tables) if len(tables) > 1 else tables[0]
    asked = set(event_log.read_features(request.schema))
    features = tuple(f for f in request.schema.recorded if f.name in asked)
    some = request.schema.model_copy(update={"features": features})
    stems = {key: f"{stem}.csv" for key, stem in _SIDES.items()}
    numbered = union.mutate(event_id=ibis.row_number())
    joined, _ = lookup_tables.join(engine, numbered, found, stems, some, report)
    return joined.order_by("event_id").drop("event_id").to_pyarrow()


def auto_split(days: Sequence[int]) -> Split:
    """Splits the official files by their own border, and any other span by its last days."""
    if (min(days), max(days)) == tuple(number(day) for day in _OFFICIAL_DAYS):
        return Split(_OFFICIAL_SPLIT)
    return last_days(days)


def _note_columns(path: Path, table: ir.Table, known: Sequence[str], report: Report) -> None:
    unknown = [name for name in table.columns if name not in known]
    absent = [name for name in LOG_COLUMNS if name not in table.columns]
    if unknown:
        report.notes.append(f"{path.name} has columns that nothing uses: {', '.join(unknown)}")
    if absent:
        report.notes.append(f"{path.name} lacks the official columns {', '.join(absent)}")


def _folder(raw: Path) -> Path:
    if not raw.is_dir():
        raise ValueError(f"--raw: {raw} must be a folder; give the one that holds log_standard_*")
    for folder in (raw, raw / "data", raw / "KuaiRand-Pure" / "data"):
        if _tables(folder, "log_standard_*") or _tables(folder, "log_random_*"):
            return folder
    return raw


def _tables(folder: Path, pattern: str) -> list[Path]:
    found = (path for ending in (".csv", ".parquet") for path in folder.glob(pattern + ending))
    return sorted(path for path in found if path.is_file())


KUAIRAND_PURE = Dataset(
    command="kuairand-pure",
    schema="kuairand_pure.yaml",
    sources=sources,
    read=read,
    auto_split=auto_split,
    events=read_events,
)
