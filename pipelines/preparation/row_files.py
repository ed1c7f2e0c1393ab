"""Writes prepared rows as numbered Parquet files, several files at the same time.

Threads take files, not rows: whichever has the least to do takes the next file, of whatever part,
so that none waits for the end of a part that holds a single file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.preparation.page_encodings import page_encodings
from pipelines.preparation.prepared_folder import REPORTS

#: Rows that wait for each thread that writes; fewer leave it idle while the next are made.
_WAITING = 131_072

Finish = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Unfinished:
    """Rows whose last columns are made by the thread that writes them.

    Attributes:
        part: the part they belong to.
        rows: the columns that are there.
        finish: adds the others.
    """

    part: str
    rows: pa.RecordBatch
    finish: Finish


def write_rows(
    root: Path,
    batches: Iterable[Unfinished],
    features: pa.Schema,
    report: pa.Schema,
    part_rows: int,
    threads: int = 1,
) -> Iterator[int]:
    """Writes rows as numbered files of their part, and their report rows beside them.

    Args:
        root: the folder under construction.
        batches: rows in order, one part after the other, with the columns of both schemas.
        features: the columns a model reads.
        report: the columns only reports read.
        part_rows: rows in each file of a part but its last.
        threads: files written at the same time.

    Yields:
        The rows written, step by step.

    Raises:
        FileExistsError: if a part's rows are not together.
    """
    writers = [_Writer() for _ in range(threads)]
    waiting: deque[tuple[Future[None], int]] = deque()
    part, room, number = None, 0, -1
    folders: dict[Path, pa.Schema] = {}
    try:
        for batch in batches:
            if batch.part != part:
                part, room, number = batch.part, 0, -1
                folders = {root / part: features, root / REPORTS / part: report}
                for folder in folders:
                    folder.mkdir(parents=True)
            rows, offset = batch.rows, 0
            while offset < rows.num_rows:
                if room == 0:
                    room, number = part_rows, number + 1
                    writer = min(writers, key=_Writer.left)
                    name = f"part-{number:05d}.parquet"
                    forms = {folder / name: form for folder, form in folders.items()}
                some = rows.slice(offset, min(room, rows.num_rows - offset))
                waiting.append((writer.write(forms, some, batch.finish), some.num_rows))
                offset += some.num_rows
                room -= some.num_rows
            while waiting and (
                waiting[0][0].done() or sum(map(_Writer.left, writers)) > _WAITING * threads
            ):
                yield _written(waiting)
        while waiting:
            yield _written(waiting)
    finally:
        with ExitStack() as every:  # where one cannot be closed, the others are
            for writer in writers:
                every.callback(writer.close)


def _written(waiting: deque[tuple[Future[None], int]]) -> int:
    done, rows = waiting.popleft()
    done.result()
    return rows


class _Writer:
    """Writes one file after the other, and its reports, in a thread of its own."""

    def __init__(self) -> None:
        self._forms: Mapping[Path, pa.Schema] = {}
        self._open: list[pq.ParquetWriter] = []
        self._asked: deque[tuple[Future[None], int]] = deque()
        self._pool = ThreadPoolExecutor(1, "write-part")

    def left(self) -> int:
        """Returns how many rows it has not written yet."""
        while self._asked and self._asked[0][0].done():
            self._asked.popleft()
        return sum(rows for _, rows in self._asked)

    def write(
        self, forms: Mapping[Path, pa.Schema], rows: pa.RecordBatch, finish: Finish
    ) -> Future[None]:
        """Finishes rows and writes them, once the thread comes to them.

        Args:
            forms: the files and their columns; others than the last ones end those.
            rows: of these files.
            finish: adds the columns that rows lack.
        """
        done = self._pool.submit(self._write, forms, rows, finish)
        self._asked.append((done, rows.num_rows))
        return done

    def close(self) -> None:
        """Drops what waits, and closes the files."""
        self._pool.shutdown(cancel_futures=True)
        self._end()

    def _write(self, forms: Mapping[Path, pa.Schema], rows: pa.RecordBatch, finish: Finish) -> None:
        if forms != self._forms:
            self._end()
        rows = finish(rows)
        some = [rows.select(form.names).cast(form) for form in forms.values()]
        if forms != self._forms:
            # a file's first rows tell how its lists are encoded
            for (path, form), first in zip(forms.items(), some, strict=True):
                self._open.append(pq.ParquetWriter(path, form, **page_encodings(first)))
            self._forms = forms
        for writer, columns in zip(self._open, some, strict=True):
            writer.write_batch(columns)

    def _end(self) -> None:
        with ExitStack() as every:
            while self._open:
                every.callback(self._open.pop().close)
