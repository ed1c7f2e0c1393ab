"""Landing: files of raw rows that come into a folder while a stream runs.

A file is taken when its name is final (not hidden, not .tmp) and its size stands still. Its rows
are there from the hour in which it was taken; what happened earlier counts in that hour. A row
whose key has come before brings its conversion, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data import read_table, to_arrays
from idefn_tf.data.feedback_labels import FeedbackLabels
from idefn_tf.data.time_columns import time_array
from idefn_tf.schema import CLICK, CONVERSION_FINAL, Schema
from pipelines.streaming.arrivals import ALWAYS, Times
from pipelines.streaming.stream_log import StreamLog, without_labels

_ENDINGS = (".parquet", ".csv")
#: Seconds for which a file's size must stand still.
_STEADY = 1.0


@dataclass
class Landing:
    """A folder that files land in.

    Attributes:
        folder: where.
        key: the raw column that tells an exposure from others; None where every row is a new one.
        taken: sizes of the files that were taken, by name.
    """

    folder: Path
    key: str | None = None
    taken: dict[str, int] = field(default_factory=dict)
    _fresh: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _looked: float = -_STEADY
    _rows: dict[Any, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ValueError(
                f"--follow: must be a folder, received {self.folder};\nmake it, and let files land "
                "in it"
            )

    def ready(self) -> list[str]:
        """Lists new files whose size is that of the last look, by name."""
        if time.monotonic() - self._looked < _STEADY:
            return []
        self._looked = time.monotonic()
        found = {
            path.name: path.stat().st_size
            for path in sorted(self.folder.iterdir())
            if path.is_file() and path.suffix in _ENDINGS and not path.name.startswith((".", "_"))
        }
        steady = [n for n, size in found.items() if self._seen.get(n) == size]
        self._seen = found
        return [name for name in steady if name not in self.taken]

    def fresh(self) -> dict[str, int]:
        """Returns the sizes of files that were taken since this was last asked, by name."""
        fresh, self._fresh = self._fresh, {}
        return fresh

    def again(self, log: StreamLog, files: dict[str, int], moment: int) -> StreamLog:
        """Takes files of an earlier process.

        Raises:
            ValueError: if one is gone or another.
        """
        for name, size in files.items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise ValueError(
                    f"--follow: {path} must be as it was when the stream took it, {size:,} bytes, "
                    "received another or none;\nput it back, or begin a new stream"
                )
        log, _ = self.take(log, [*files], moment)
        self._fresh = {}
        return log

    def take(
        self, log: StreamLog, names: Sequence[str], moment: int
    ) -> tuple[StreamLog, dict[str, int]]:
        """Adds files to a log.

        Args:
            log: what is there.
            names: of the files.
            moment: when the hour begins in which they are taken.

        Returns:
            The log, and how many rows were new, how many conversions came to known rows, and how
            many clicks did, which are left out.

        Raises:
            ValueError: naming the file, if it does not hold the schema's columns.
        """
        counts = {"rows": 0, "conversions": 0, "clicks_left_out": 0}
        for name in names:
            path = self.folder / name
            try:
                size, table = path.stat().st_size, read_table([str(path)], log.schema)
                if table.num_rows:
                    came = landed(log.schema, table, moment)
                    fresh = np.full(len(came), True)
                    if self.key is not None:
                        log, fresh = self._known(log, came, table, moment, counts)
                    counts["rows"] += int(fresh.sum())
                    log = log.joined(came.part(np.flatnonzero(fresh)))
            except ValueError as error:
                raise ValueError(f"{error} ({path})") from None
            self.taken[name] = self._fresh[name] = size
        return log, counts

    def _known(
        self,
        log: StreamLog,
        came: StreamLog,
        table: pa.Table,
        moment: int,
        counts: dict[str, int],
    ) -> tuple[StreamLog, np.ndarray]:
        """Gives rows of before their conversions; returns which rows are new."""
        assert self.key is not None
        if self.key not in table.column_names:
            raise ValueError(
                f"--key: must be a column of the files, received {self.key!r}, not in "
                f"{table.column_names}; name the column that tells exposures apart"
            )
        times, new = log.times, came.times
        final, converted, told = times.final.copy(), times.converted.copy(), times.told.copy()
        fresh, added = np.full(len(came), True), dict[Any, int]()
        for i, key in enumerate(table[self.key].to_pylist()):
            if key in added:
                raise ValueError(
                    f"--key: column {self.key!r} must tell the rows of a file apart, received "
                    f"{key!r} twice; leave out the older row"
                )
            row = self._rows.get(key)
            if row is None:
                added[key] = len(log) + len(added)
                continue
            fresh[i] = False
            if new.click[i] and not times.click[row]:
                counts["clicks_left_out"] += 1
            elif new.final[i] and not final[row]:
                final[row], told[row] = True, moment
                converted[row] = times.clicked[row] + (new.converted[i] - new.clicked[i])
                counts["conversions"] += 1
        self._rows |= added
        return replace(
            log, times=replace(times, final=final, converted=converted, told=told)
        ), fresh


def landed(schema: Schema, table: pa.Table, moment: int) -> StreamLog:
    """Reads raw rows that are there from a moment on.

    Args:
        schema: what the columns are.
        table: raw rows, with the times of exposures, clicks and conversions.
        moment: from when.

    Raises:
        ValueError: if columns are missing or times have an order that no funnel has.
    """
    labels = schema.labels
    found = [time_array(schema, table, name) for name in labels.times if name in table.column_names]
    latest = max((int(values.max()) for values, _ in found), default=0)
    arrays = to_arrays(schema, table, feedback=FeedbackLabels(latest))
    (shown, _), (clicked, unclicked), (converted, _) = found
    click, final = arrays[CLICK] > 0, arrays[CONVERSION_FINAL] > 0
    clicked = np.where(click & ~unclicked, clicked, shown)
    since = np.full(len(shown), moment)
    always = np.full(len(shown), ALWAYS)
    day = StreamLog.units_a_day(schema)
    times = Times(
        day, shown, click, clicked, final, np.where(final, converted, clicked), since, always
    )
    return StreamLog(schema, without_labels(arrays), times)
