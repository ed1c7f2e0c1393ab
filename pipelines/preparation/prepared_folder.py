"""The prepared form on disk: its paths and its reader (`row_files` writes the rows).

::

    OUT/schema.yaml                    the schema used
    OUT/card.json                      the data card
    OUT/vocabularies/<feature>.json    learned on train only
    OUT/<part>/part-00000.parquet      row_id, the features by name, click, conversion; where the
                                       log has their times the labels of delays, too
    OUT/reports/<part>/part-00000.parquet
                                       the same rows in the same order: row_id, conversion_raw,
                                       probe, and the oracle's columns on simulated data; apart,
                                       so that no model can read them

The parts are train, validation and test, or "all" where nothing was split.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from idefn_tf._files import PREFIX, atomic_folder, read_json, remove_leftovers
from idefn_tf.data import read_table
from idefn_tf.data.object_store import files_under, is_remote
from idefn_tf.schema import Schema
from pipelines.preparation.object_store import fetch, on_disk

SCHEMA, CARD, VOCABULARIES, REPORTS = "schema.yaml", "card.json", "vocabularies", "reports"
PARTS = ("train", "validation", "test", "all")


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, ready to be read.

    Attributes:
        root: the folder on this disk; of one in a bucket, the copies of its small files.
        address: of one in a bucket, where it lies.
        listing: of one in a bucket, its files' paths within `address`.
    """

    root: Path
    address: str | None = None
    listing: tuple[str, ...] = ()

    @classmethod
    def open(cls, root: str | Path | Prepared) -> Prepared:
        """Opens a prepared folder.

        Args:
            root: a folder, or the address of one such as s3://bucket/folder; one that is open
                already is returned as it is.

        Raises:
            ValueError: if it is none.
        """
        if isinstance(root, Prepared):
            return root
        found = cls._in_bucket(str(root).rstrip("/")) if is_remote(root) else cls(Path(root))
        if not (found.root / CARD).is_file() or not (found.root / SCHEMA).is_file():
            raise ValueError(
                f"data: {root} must be a prepared folder (with {CARD} and {SCHEMA}); make one with "
                "python -m pipelines.prepare"
            )
        return found

    @classmethod
    def _in_bucket(cls, address: str) -> Prepared:
        root, listing = fetch(address)
        return cls(root, address, listing)

    @staticmethod
    def is_at(place: str | Path) -> bool:
        """Whether there is a prepared folder, rather than other files or nothing.

        Raises:
            ValueError: if `place` is an address whose server cannot be asked.
        """
        if is_remote(place):
            return bool(files_under(f"{str(place).rstrip('/')}/{CARD}", "data"))
        return (Path(place) / CARD).is_file()

    @property
    def place(self) -> str:
        """The folder or address, as `open` takes it."""
        return self.address or str(self.root)

    @property
    def schema(self) -> Schema:
        """The schema used."""
        return Schema.load(self.root / SCHEMA, kept=True)

    @property
    def card(self) -> dict[str, Any]:
        """The data card."""
        return read_json(self.root / CARD, "prepare the data anew")

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are there, in the order of time."""
        if self.address is not None:
            return tuple(part for part in PARTS if self._find(part))
        return tuple(part for part in PARTS if (self.root / part).is_dir())

    @property
    def vocabularies(self) -> Path:
        """The folder of vocabularies."""
        return self.root / VOCABULARIES

    def files(self, part: str) -> list[str]:
        """The Parquet files that a model reads, in order."""
        return self._listed(part, part)

    def report_files(self, part: str) -> list[str]:
        """The Parquet files that only reports read, row by row beside `files`."""
        return self._listed(part, f"{REPORTS}/{part}")

    def table(self, part: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Reads columns of a part's rows into memory, in order."""
        return read_table(self.files(part), columns=columns)

    def report_table(self, part: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Reads columns of a part's report rows into memory, in the order of `table`."""
        return read_table(self.report_files(part), columns=columns)

    def _listed(self, part: str, folder: str) -> list[str]:
        found = self._find(folder)
        if not found:
            raise ValueError(f"part: {part!r} must be one of {list(self.parts)} in {self.place}")
        return found

    def _find(self, folder: str) -> list[str]:
        """Lists the row files of a folder, in order."""
        pattern = "part-*.parquet"
        if self.address is None:
            return sorted(str(path) for path in (self.root / folder).glob(pattern))
        inside = [name for name in self.listing if name.rpartition("/")[0] == folder]
        some = fnmatch.filter(inside, f"{folder}/{pattern}")
        return [f"{self.address}/{name}" for name in sorted(some)]


@contextmanager
def replacing(out: Path, mark: str = CARD) -> Iterator[Path]:
    """Gives a folder beside `out` to build in, and puts it in the place of `out` at the end.

    An error, or the end of the process, leaves `out` as it was. What killed runs left beside it is
    removed by the next run.

    Args:
        out: the folder to make or replace.
        mark: the file by which a folder of this form is known.

    Raises:
        ValueError: if `out` exists and is no folder of this form.
    """
    refuse_foreign(out, mark)
    with atomic_folder(out) as building:
        yield building


def refuse_foreign(out: Path, mark: str = CARD) -> None:
    """Refuses to replace what preparation has not made.

    Raises:
        ValueError: if `out` is a file, or a folder with something else in it.
    """
    on_disk(out, "--out")
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / mark).is_file()):
        raise ValueError(
            f"--out: {out} exists and is no folder made by this job (no {mark}); choose another "
            "or remove it"
        )


def clear_leftovers(out: Path) -> None:
    """Removes what killed runs left beside `out`."""
    remove_leftovers(out.parent, f"{PREFIX}{out.name}-")
