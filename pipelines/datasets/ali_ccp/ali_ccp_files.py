"""Streams a raw Ali-CCP file of any size into Parquet, block by block over threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.datasets.ali_ccp import ali_ccp_lines as lines
from pipelines.datasets.ali_ccp.ali_ccp_lines import Layout, Tally

_LONGEST = 64 << 20
#: Bytes taken apart at once: what is computed of more leaves the processor's cache.
_PIECE = 1 << 20
_GIVE_UP = 1000
#: Columns of few values, a page each of them.
_REPEATED = ["origin", "part"]
#: Columns by which rows are chosen: their least and greatest values tell which pages to skip.
_ASKED = ["row_id", *_REPEATED]
_WORD = 0xFFFFFFFFFFFFFFFF
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Conversion:
    """How a raw file becomes Parquet.

    Attributes:
        path: the raw file.
        layout: what its lines hold.
        malformed_share: the share of malformed lines that is tolerated.
        complete: adds columns to a block's rows, from (rows, rows before them).
        threads: blocks read at the same time; memory follows it.
        block: bytes read at once.
    """

    path: Path
    layout: Layout
    malformed_share: float
    complete: Callable[[pa.Table, int], pa.Table]
    threads: int
    block: int = 8 << 20

    def run(self, out: Path, advance: Callable[[float], None]) -> Tally:
        """Writes the well-formed lines, in order.

        Args:
            out: the Parquet file to write.
            advance: called with the bytes of each block.

        Raises:
            ValueError: if too many lines are malformed.
        """
        tally = Tally()
        form = self.complete(lines.empty(self.layout), 0).schema
        with (
            # read a few times and thrown away: plain pages cost the least time
            pq.ParquetWriter(
                out, form, compression="none", use_dictionary=_REPEATED, write_statistics=_ASKED
            ) as writer,
            ThreadPoolExecutor(self.threads) as pool,
        ):
            blocks = _blocks(self.path, self.block)
            for size, rows, found in _in_order(pool, self._read, blocks, self.threads):
                done = tally.lines - tally.malformed
                tally.add(found)
                if tally.malformed == tally.lines >= _GIVE_UP:
                    break  # not such a file at all
                if rows.num_rows:
                    writer.write_table(self.complete(rows, done))
                advance(size)
        self._refuse(tally)
        return tally

    def _read(self, block: bytes) -> tuple[int, pa.Table, Tally]:
        tally, tables = Tally(), []
        for piece in _pieces(block, _PIECE):
            rows, found = lines.parse(piece, self.layout)
            tally.add(found)
            tables.append(rows)
        return len(block), pa.concat_tables(tables), tally

    def _refuse(self, tally: Tally) -> None:
        if tally.malformed > self.malformed_share * tally.lines:
            raise ValueError(
                f"{self.path.name}: {malformed(tally)}; that is more than --malformed-share "
                f"{self.malformed_share:g}; unpack the file again, or raise the share"
            )


def malformed(tally: Tally) -> str:
    """Counts and quotes malformed lines in words."""
    shown = "; ".join(f"line {n:,} ({why}): {text}" for n, why, text in tally.examples)
    share = tally.malformed / tally.lines
    counted = f"{tally.malformed:,} of {tally.lines:,} lines ({share:.2%})"
    return f"{counted} are malformed, such as {shown}"


def drawn(ids: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draws a share of ids: the same ids in every file, order and run, and on every engine.

    Args:
        ids: whole numbers; shape [rows].
        share: the share to draw, within 0..1.
        seed: another seed draws other ids.

    Returns:
        Whether each id is drawn; shape [rows]. An id is drawn where SplitMix64's step of
        id + seed * 0x9E3779B97F4A7C15, its 53 upper bits read as a number in 0..1, lies below
        `share`.
    """
    x = ids.astype(np.uint64) + np.array(seed * 0x9E3779B97F4A7C15 & _WORD, np.uint64)
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53 < share


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    """Yields whole lines, about `size` bytes at once.

    Raises:
        ValueError: if a line does not end.
    """
    rest = b""
    with path.open("rb") as file:
        while data := file.read(size):
            end = data.rfind(b"\n") + 1
            if end:
                yield rest + data[:end]
                rest = data[end:]
                continue
            rest += data
            if len(rest) > _LONGEST:
                raise ValueError(
                    f"{path.name}: lines must end within {_LONGEST >> 20} MiB, received none that "
                    "does; give the unpacked text file"
                )
    if rest:
        yield rest + b"\n"


def _pieces(block: bytes, size: int) -> Iterator[bytes]:
    """Cuts whole lines into whole lines, about `size` bytes at once."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", min(start + size, len(block) - 1)) + 1
        yield block[start:end]
        start = end


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[_T], _R], items: Iterator[_T], ahead: int
) -> Iterator[_R]:
    """Maps items over a pool, at most `ahead` + 1 of them under way, results in order."""
    waiting: deque[Future[_R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
