r"""Reads lines of the raw Ali-CCP files, a block of bytes at once.

A line is a comma-separated head and a list of features::

    skeleton  sample_id,click,conversion,common_feature_index,feature_num,FEATURES
    common    common_feature_index,feature_num,FEATURES
    FEATURES  field 0x02 id 0x03 value, joined by 0x01

All lines of a block are taken apart together: the positions of the separators give every piece.
Lines that do not keep to the form are set aside with the reason, and the rest is read again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.datasets.ali_ccp.entry_order import ranked
from pipelines.datasets.ali_ccp.number_words import Words, aligned, words_of

#: The heads of the two kinds of file; all but the index are whole numbers.
INDEX, COUNT = "common_feature_index", "feature_num"
SKELETON_HEAD = ("sample_id", "click", "conversion", INDEX, COUNT)
COMMON_HEAD = (INDEX, COUNT)

#: Reasons why a line is malformed.
FORM = "not head and features in this form"
NUMBER = "a number that is none, or is negative"
COUNTED = "feature_num is not the number of features"

_COMMA, _FEATURE, _ID, _VALUE, _LINE, _FOREIGN = range(1, 7)
_KINDS = np.zeros(256, np.uint8)
_KINDS[:32] = _KINDS[127:] = _FOREIGN
_KINDS[[ord("x"), ord("X"), ord(" ")]] = _FOREIGN  # hexadecimal numbers are none
_KINDS[[ord(","), 1, 2, 3, ord("\n")]] = [_COMMA, _FEATURE, _ID, _VALUE, _LINE]
_TABLE = _KINDS.tobytes()
#: Which separator may follow which, as one number; the head is looked at apart.
_FOLLOWS = np.zeros(64, bool)
for _pair in ((1, 1), (1, 3), (1, 5), (3, 4), (4, 2), (4, 5), (2, 3), (5, 1)):
    _FOLLOWS[8 * _pair[0] + _pair[1]] = True
_WHOLE, _REAL = r"^[0-9]{1,18}$", r"^([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_LARGEST = 10**18
_SHOWN = 3
_SHOWN_LENGTH = 100


@dataclass(frozen=True)
class Column:
    """A field to read.

    Attributes:
        field: its id, such as "109_14".
        ids: whether its ids are wanted, as the column `field`.
        values: whether its values are wanted, as the column `field`_value.
        entries: for a list, how many entries are kept; None for a single id.
    """

    field: str
    ids: bool = True
    values: bool = False
    entries: int | None = None


@dataclass(frozen=True)
class Layout:
    """What the lines of a file hold and what is wanted of it.

    Attributes:
        head: the names of the head's columns.
        fields: every field that such a file may hold.
        columns: the fields to read.
    """

    head: tuple[str, ...]
    fields: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass
class Tally:
    """What was found in some lines.

    Attributes:
        lines: lines read.
        malformed: lines set aside.
        examples: (line number from 1, reason, text) of the first of them.
        repeated: by field, lines that hold a single-valued field more than once.
        unknown: by field, how often something stood there that this file should not hold.
    """

    lines: int = 0
    malformed: int = 0
    examples: list[tuple[int, str, str]] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    def add(self, later: Tally) -> None:
        """Adds the tally of the lines that follow."""
        room = _SHOWN - len(self.examples)
        self.examples += [(self.lines + n, why, text) for n, why, text in later.examples[:room]]
        self.lines += later.lines
        self.malformed += later.malformed
        self.repeated += later.repeated
        self.unknown += later.unknown


def parse(block: bytes, layout: Layout) -> tuple[pa.Table, Tally]:
    """Reads whole lines.

    Args:
        block: lines, each with its line end.
        layout: what they hold.

    Returns:
        The well-formed lines' head columns (without feature_num) and wanted columns, in order.
        A single id is null where the field is absent; a list is empty there, and its entries
        stand by falling value, then by id. And what was found.
    """
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    tally = Tally(lines=block.count(b"\n"))
    numbers = np.arange(1, tally.lines + 1)
    while True:
        lines = _Lines(block, layout)
        reasons = lines.reasons()
        bad = reasons != 0
        if not bad.any():
            break
        tally.malformed += int(bad.sum())
        for i in np.flatnonzero(bad)[:_SHOWN]:
            text = lines.text(int(i))
            tally.examples.append((int(numbers[i]), _REASONS[reasons[i]], text))
        block, numbers = lines.without(bad), numbers[~bad]
    tally.examples = sorted(tally.examples)[:_SHOWN]
    return lines.table(tally), tally


_REASONS = ("", FORM, NUMBER, COUNTED)


class _Lines:
    """A block taken apart at its separators; numbers are read once the form is right."""

    def __init__(self, block: bytes, layout: Layout) -> None:
        self.block, self.layout = block, layout
        kinds = np.frombuffer(block.translate(_TABLE), np.uint8)
        self.ends = np.flatnonzero(kinds != 0)  # of each piece: its separator
        self.kinds = kinds[self.ends]
        self.starts = np.concatenate(([0], self.ends[:-1] + 1))[: len(self.ends)]
        self.last = np.flatnonzero(self.kinds == _LINE)  # of each line: its last piece
        self.first = np.concatenate(([0], self.last[:-1] + 1))[: len(self.last)]
        self.pieces = self.last - self.first + 1
        self.aligned = aligned(block)

    def reasons(self) -> np.ndarray:
        """Returns for each line 0, or why it is malformed; shape [lines]."""
        head = len(self.layout.head)
        if not len(self.last):
            self._read(np.zeros(0, np.int64))
            return np.zeros(0, np.uint8)
        features = self.pieces - head
        empty = (features == 1) & (self.starts[self.last] == self.ends[self.last])
        if not self._formed(features, empty):
            longest = int(self.pieces.max())
            cycle = np.tile(np.array([_ID, _VALUE, _FEATURE], np.uint8), longest // 3 + 1)
            pattern = np.concatenate([np.full(head, _COMMA, np.uint8), cycle])
            place = np.arange(len(self.ends)) - np.repeat(self.first, self.pieces)
            wrong = self.kinds != pattern[place]
            wrong[self.last] = ~(((features > 0) & (features % 3 == 0)) | empty)
            reasons = np.logical_or.reduceat(wrong, self.first).astype(np.uint8)
            if reasons.any():
                return reasons
        return self._read(np.where(empty, 0, features // 3))

    def _formed(self, features: np.ndarray, empty: np.ndarray) -> bool:
        """Whether all lines are in the right form, by which separators follow each other."""
        if features.min() < 1 or not _FOLLOWS[8 * self.kinds[:-1] + self.kinds[1:]].all():
            return False
        head = len(self.layout.head)
        if any((self.kinds[self.first + i] != _COMMA).any() for i in range(head)):
            return False
        return not ((self.kinds[self.first + head] != _ID) & ~empty).any()

    def _read(self, features: np.ndarray) -> np.ndarray:
        """Reads all numbers of lines in the right form; returns reasons as `reasons` does."""
        reasons = np.zeros(len(features), np.uint8)
        self.head: dict[str, pa.Array] = {}
        for i, name in enumerate(self.layout.head):
            if name == INDEX:
                self.head[name] = texts = self._texts(self.first + i)
                bad = pc.equal(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
            else:
                whole, bad = self._numbers(self.first + i, pa.int64())
                self.head[name] = pa.array(whole)
            reasons[bad] = 2
        self.line = np.repeat(np.arange(len(features)), features)
        at = np.flatnonzero(self.kinds == _ID)
        self.name_at = at
        self.field = self._fields(at)
        self.id, bad_id = self._numbers(at + 1, pa.int64())
        self.value, bad_value = self._numbers(at + 2, pa.float64())
        reasons[self.line[bad_id | bad_value]] = 2
        counted = self.head[COUNT].to_numpy()
        reasons[(reasons == 0) & (counted != features)] = 3
        return reasons

    def _fields(self, at: np.ndarray) -> np.ndarray:
        """Returns the place of some pieces among the layout's fields, -1 for others."""
        known = words_of(list(self.layout.fields))
        order = np.argsort(known)
        found = Words(self.aligned, self.starts[at], self.ends[at]).find(known[order])
        return np.append(order, -1)[found].astype(np.int8)

    def _numbers(self, at: np.ndarray, kind: pa.DataType) -> tuple[np.ndarray, np.ndarray]:
        """Reads some pieces as numbers of 0 or more; returns them, and where they are none."""
        words = Words(self.aligned, self.starts[at], self.ends[at])
        real = kind == pa.float64()
        values, read = words.real() if real else words.whole()
        bad = np.zeros(len(at), bool)
        if not read.all():
            odd = np.flatnonzero(~read)
            form = _REAL if real else _WHOLE
            values[odd], bad[odd] = _numbers(self._texts(at[odd]), kind, form)
        return values, bad

    def _texts(self, at: np.ndarray) -> pa.StringArray:
        """Returns some pieces as text."""
        if not len(at):
            return pa.array([], pa.string())
        # piece, gap, piece, gap, ... over the block itself; then the gaps are left out
        offsets = np.stack([self.starts[at], self.ends[at]], axis=1).astype(np.int32).ravel()
        both = pa.StringArray.from_buffers(
            len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(self.block)
        )
        return both.take(pa.array(np.arange(0, len(offsets) - 1, 2)))

    def text(self, line: int) -> str:
        """Returns a line so that it can be shown, cut where it is long."""
        start, end = int(self.starts[self.first[line]]), int(self.ends[self.last[line]])
        shown = self.block[start : min(end, start + _SHOWN_LENGTH)]
        return ascii(shown.decode("latin-1")) + ("..." if end - start > _SHOWN_LENGTH else "")

    def without(self, bad: np.ndarray) -> bytes:
        """Returns the block without some of its lines."""
        sizes = np.diff(np.concatenate(([-1], self.ends[self.last])))
        return np.frombuffer(self.block, np.uint8)[np.repeat(~bad, sizes)].tobytes()

    def table(self, tally: Tally) -> pa.Table:
        """Returns the columns; notes what is repeated and what does not belong."""
        strangers = self._texts(self.name_at[self.field < 0])
        for entry in pc.value_counts(strangers).to_pylist():
            tally.unknown[entry["values"]] += entry["counts"]
        order = np.argsort(self.field, kind="stable")
        edges = np.searchsorted(self.field[order], np.arange(len(self.layout.fields) + 1))
        columns = {name: value for name, value in self.head.items() if name != COUNT}
        for column in self.layout.columns:
            i = self.layout.fields.index(column.field)
            at = order[edges[i] : edges[i + 1]]
            if column.entries is None:
                columns |= self._single(column, at, tally)
            else:
                columns |= self._list(column, at, column.entries)
        return pa.table(columns)

    def _single(self, column: Column, at: np.ndarray, tally: Tally) -> dict[str, pa.Array]:
        line = self.line[at]
        again = np.zeros(len(at), bool)
        again[1:] = line[1:] == line[:-1]
        if again.any():
            tally.repeated[column.field] += len(np.unique(line[again]))
            at, line = at[~again], line[~again]
        absent = np.ones(len(self.last), bool)
        absent[line] = False
        columns = {}
        for name, source in _wanted(column, self.id[at], self.value[at]).items():
            values = np.zeros(len(absent), source.dtype)
            values[line] = source
            columns[name] = pa.array(values, mask=absent)
        return columns

    def _list(self, column: Column, at: np.ndarray, entries: int) -> dict[str, pa.Array]:
        line, ids, values = ranked(self.line[at], self.id[at], self.value[at])
        found = np.bincount(line, minlength=len(self.last))
        if len(line) and found.max() > entries:
            rank = np.arange(len(line)) - np.repeat(np.cumsum(found) - found, found)
            ids, values = ids[rank < entries], values[rank < entries]
        offsets = np.concatenate(([0], np.cumsum(np.minimum(found, entries)))).astype(np.int32)
        return {
            name: pa.ListArray.from_arrays(pa.array(offsets), pa.array(source))
            for name, source in _wanted(column, ids, values).items()
        }


def _wanted(column: Column, ids: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    wanted = {column.field: ids} if column.ids else {}
    if column.values:
        wanted[f"{column.field}_value"] = values.astype(np.float32)
    return wanted


def _numbers(texts: pa.Array, kind: pa.DataType, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads texts as numbers of 0 or more; returns them, and where they are none."""
    fits = pc.match_substring_regex(texts, form)
    values = pc.if_else(fits, texts, "0").cast(kind).to_numpy(zero_copy_only=False)
    bad = ~fits.to_numpy(zero_copy_only=False)
    return values, bad | ~((values >= 0) & (values < _LARGEST))


def empty(layout: Layout) -> pa.Table:
    """Returns the columns that `parse` gives, without rows."""
    return parse(b"", layout)[0]
