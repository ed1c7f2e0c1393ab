r"""Parses short numbers of a text buffer eight bytes at a time, all of them together (SWAR).

The last eight bytes of a text are one 64-bit word. Few operations on words then read what a loop
would read digit by digit. Texts of another form are told apart, for a general parser.

Source: Lemire, Quickly parsing eight digits, 2018; Clinger, How to read floating point numbers
accurately, PLDI 1990 (whole numbers below 2^53 over small powers of ten are rounded once).
"""

from __future__ import annotations

import numpy as np

#: The longest text that a word holds.
LONGEST = 8


def _each(byte: int) -> np.uint64:
    """Returns a word of eight equal bytes."""
    return np.uint64(int.from_bytes(bytes([byte]) * 8, "little"))


_ONE, _TOP, _DOT, _ZERO = _each(0x01), _each(0x80), _each(ord(".")), _each(ord("0"))
_HIGH, _SIX, _THREES = _each(0xF0), _each(0x06), _each(0x33)
_POWERS = 10.0 ** np.arange(LONGEST)


class Words:
    """The texts of a buffer as words.

    Args:
        buffer: as `aligned` gives it.
        starts: of the texts, [n].
        ends: of the texts, [n].

    Attributes:
        words: the last eight bytes of each text, those before a shorter one zero, [n].
        lengths: of the texts, [n].
    """

    def __init__(self, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        self.lengths = ends - starts
        at, shift = ends >> 3, ((ends & 7) << 3).astype(np.uint64)
        # the buffer lies eight bytes later in `buffer`, so a text's last bytes begin at its end
        words = buffer.take(at) >> shift
        words |= (buffer.take(at + 1) << np.uint64(1)) << (np.uint64(63) - shift)
        self.unused = (8 * (LONGEST - np.clip(self.lengths, 1, LONGEST))).astype(np.uint64)
        self.words = (words >> self.unused) << self.unused

    def find(self, known: np.ndarray) -> np.ndarray:
        """Returns the place of each text in sorted `known` words, -1 for one that is not there."""
        place = np.searchsorted(known, self.words)
        place[place == len(known)] = 0
        there = (known[place] == self.words) & (self.lengths <= LONGEST) & (self.lengths > 0)
        return np.where(there, place, -1)

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the whole numbers, int64, and which texts are one to eight digits."""
        words = self._filled()
        return _value(words), self._short() & _digits(words)

    def real(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers, float64, and which texts are digits with at most one point."""
        words = self._filled()
        other = words ^ _DOT
        found = (other - _ONE) & ~other & _TOP
        dotted = found != 0
        place = (found & (~found + np.uint64(1))) >> np.uint64(7)  # 256^(byte of the first point)
        below = place - np.uint64(1)
        above = ~(below | (place * np.uint64(255)))
        closed = (words & above) | ((words & below) << np.uint64(8)) | np.uint64(ord("0"))
        words = np.where(dotted, closed, words)
        exponent = (np.maximum(place, 1).astype(np.float64).view(np.int64) >> 52) - 1023
        decimals = np.where(dotted, LONGEST - 1 - (exponent >> 3), 0)
        numbers = _value(words) / _POWERS[decimals]
        return numbers, self._short() & _digits(words) & ~(dotted & (self.lengths == 1))

    def _filled(self) -> np.ndarray:
        """Returns the words with zero digits before shorter texts."""
        return self.words | (_ZERO & ((np.uint64(1) << self.unused) - np.uint64(1)))

    def _short(self) -> np.ndarray:
        return (self.lengths > 0) & (self.lengths <= LONGEST)


def aligned(block: bytes) -> np.ndarray:
    """Returns a buffer as 64-bit words, eight zero bytes before it and some after it."""
    padding = -len(block) % 8 + 8
    return np.frombuffer(b"".join((bytes(8), block, bytes(padding))), "<u8")


def words_of(texts: list[str]) -> np.ndarray:
    """Returns texts of at most eight bytes as `Words` has them."""
    found = [int.from_bytes(text.encode().rjust(LONGEST, b"\0"), "little") for text in texts]
    return np.array(found, np.uint64)


def _digits(words: np.ndarray) -> np.ndarray:
    """Returns whether all bytes of a word are digits."""
    carried = ((words + _SIX) & _HIGH) >> np.uint64(4)
    return np.asarray(((words & _HIGH) | carried) == _THREES)


def _value(words: np.ndarray) -> np.ndarray:
    """Returns the number of eight digits, the first one in the lowest byte."""
    found = ((words & _each(0x0F)) * np.uint64(2561)) >> np.uint64(8)
    found = ((found & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601)) >> np.uint64(16)
    found = ((found & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001)) >> np.uint64(32)
    return found.view(np.int64)
