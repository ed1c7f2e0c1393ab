"""KuaiRand-Pure's official files at their size, made of fewer real rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

#: The names of the two standard logs.
LOGS = ("log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv")


def make(source: Path, raw: Path, copies: int) -> int:
    """Writes two CSV logs with every row of a folder's standard logs several times.

    Args:
        source: a folder with KuaiRand-Pure's files, logs as CSV or Parquet.
        raw: the folder to write.
        copies: of each row, a millisecond after the other: none is a duplicate.

    Returns:
        The rows written.

    Raises:
        ValueError: if there is no log.
    """
    logs = sorted(source.glob("log_standard_*"))
    if not logs:
        raise ValueError(f"--kuairand: {source} must hold log_standard_* files, received none")
    raw.mkdir(parents=True, exist_ok=True)
    rows = pa.concat_tables(
        pq.read_table(log) if log.suffix == ".parquet" else pa.csv.read_csv(log) for log in logs
    ).replace_schema_metadata(None)
    at = rows.column_names.index("time_ms")
    every = pa.concat_tables(
        rows.set_column(at, "time_ms", pc.add(rows["time_ms"], i)) for i in range(copies)
    ).sort_by("time_ms")
    half = every.num_rows // 2
    for name, part in zip(LOGS, (every.slice(0, half), every.slice(half)), strict=True):
        pa.csv.write_csv(part, raw / name)
    for name in ("user_features_pure.csv", "video_features_basic_pure.csv"):
        shutil.copyfile(source / name, raw / name)
    return every.num_rows
