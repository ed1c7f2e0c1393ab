"""FarmHash64 of integers' decimal digits, in ONNX: what stands behind hash features of integers.

TensorFlow writes an integer as text and hashes the text. ONNX cannot look into a text, but the
digits of an integer are arithmetic. Products and sums of int64 are taken modulo 2**64, as the hash
wants them; shifts and the last remainder are unsigned.

Source: FarmHash 1.1, farmhashna::Hash64 (`tf.strings.to_hash_bucket_fast` calls it Fingerprint64),
for texts of at most 20 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
#: The longest text, that of the least int64, and its digits.
_LENGTH, _DIGITS = 20, 19


@dataclass(frozen=True)
class Maker:
    """How nodes are made.

    Attributes:
        node: from a kind, inputs and attributes to the first output of a new node.
        constant: from a value and its NumPy type to a new constant.
    """

    node: Callable[..., str]
    constant: Callable[[Any, Any], str]

    def word(self, value: Any) -> Word:
        """Returns a constant of 64 bits, given as it is read without a sign."""
        return Word(self, self.constant(np.asarray(value, np.uint64).astype(np.int64), np.int64))

    def number(self, value: Any) -> Word:
        """Returns a constant with a sign."""
        return Word(self, self.constant(value, np.int64))


@dataclass(frozen=True)
class Word:
    """A tensor of int64 whose arithmetic is modulo 2**64."""

    make: Maker
    name: str

    def _with(self, kind: str, other: Word, **attributes: Any) -> Word:
        return Word(self.make, self.make.node(kind, self.name, other.name, **attributes))

    def __add__(self, other: Word) -> Word:
        return self._with("Add", other)

    def __sub__(self, other: Word) -> Word:
        return self._with("Sub", other)

    def __mul__(self, other: Word) -> Word:
        return self._with("Mul", other)

    def __xor__(self, other: Word) -> Word:
        return self._with("BitwiseXor", other)

    def __lt__(self, other: Word) -> str:
        return self.make.node("Less", self.name, other.name)

    def toward_zero(self, other: Word) -> Word:
        """Divides; what remains is cut off."""
        return self._with("Div", other)

    def shifted(self, bits: int) -> Word:
        """Shifts right, zeros in."""
        make = self.make
        plain = make.node("Cast", self.name, to=TensorProto.UINT64)
        moved = make.node("BitShift", plain, make.constant(bits, np.uint64), direction="RIGHT")
        return Word(make, make.node("Cast", moved, to=TensorProto.INT64))

    def rotated(self, bits: int) -> Word:
        """Rotates right."""
        return self.shifted(bits) + self * self.make.word(2 ** (64 - bits))

    def mixed(self) -> Word:
        """Mixes high bits into low ones."""
        return self ^ self.shifted(47)

    def where(self, condition: str, other: Word) -> Word:
        """Takes this where the condition holds, and the other elsewhere."""
        return Word(self.make, self.make.node("Where", condition, self.name, other.name))


def buckets(make: Maker, values: str, count: int) -> str:
    """Returns the bucket of each integer's text, int64.

    Args:
        make: makes nodes.
        values: int64 [N].
        count: of the buckets.
    """
    x = Word(make, make.node("Unsqueeze", values, make.constant([1], np.int64)))
    text, length = _text(make, x)
    two = make.number(2)
    factor = make.word(_K2) + length * two
    hashed = _of_17(make, text, length, factor)
    hashed = _of_8(make, text, length, factor).where(length < make.number(17), hashed)
    hashed = _of_4(make, text, length, factor).where(length < make.number(8), hashed)
    hashed = _of_1(make, text, length).where(length < make.number(4), hashed)
    plain = make.node("Cast", hashed.name, to=TensorProto.UINT64)
    rest = make.node("Mod", plain, make.constant(count, np.uint64), fmod=0)
    signed = make.node("Cast", rest, to=TensorProto.INT64)
    return make.node("Squeeze", signed, make.constant([1], np.int64))


def _text(make: Maker, x: Word) -> tuple[Word, Word]:
    """Returns the characters of each number [N, 20], 0 behind them, and how many there are."""
    powers = make.number([10**i for i in range(_DIGITS)])
    cut = x.toward_zero(powers)  # [N, 19]
    after = make.node("Slice", cut.name, *(make.constant([v], np.int64) for v in (1, _DIGITS, 1)))
    nothing = x - x
    following = Word(make, make.node("Concat", after, nothing.name, axis=1))
    digits = make.node("Abs", (cut - following * make.number(10)).name)
    some = make.node("Not", make.node("Equal", cut.name, make.number(0).name))
    counted = make.node("Cast", some, to=TensorProto.INT64)
    counted = make.node("ReduceSum", counted, make.constant([1], np.int64), keepdims=1)
    count = Word(make, make.node("Max", counted, make.number(1).name))  # 0 has a digit, too
    below = x < make.number(0)
    minus = Word(make, make.node("Cast", below, to=TensorProto.INT64))
    place = make.number([list(range(_LENGTH))])
    length = count + minus
    at = _bounded(make, count - make.number(1) - place + minus, _DIGITS)
    found = Word(make, make.node("GatherElements", digits, at, axis=1)) + make.number(ord("0"))
    found = found.where(place < length, nothing)
    first = make.node("And", below, place < make.number(1))
    return make.number(ord("-")).where(first, found), length


def _bounded(make: Maker, at: Word, size: int) -> str:
    low = make.node("Max", at.name, make.number(0).name)
    return make.node("Min", low, make.number(size - 1).name)


def _fetch(make: Maker, text: Word, at: Word, size: int) -> Word:
    """Reads some bytes as one number, the first one lowest, [N, 1]."""
    places = _bounded(make, at + make.number([list(range(size))]), _LENGTH)
    found = Word(make, make.node("GatherElements", text.name, places, axis=1))
    # a product of matrices: ONNX Runtime 1.32 sums int64 (ReduceSum) as float64
    return found._with("MatMul", make.word([[256**i] for i in range(size)]))


def _joined(u: Word, v: Word, factor: Word) -> Word:
    a = ((u ^ v) * factor).mixed()
    return ((v ^ a) * factor).mixed() * factor


def _of_1(make: Maker, text: Word, length: Word) -> Word:
    none = length - length
    middle = Word(make, make.node("Div", length.name, make.number(2).name))
    last = length - make.number(1)
    a, b, c = (_fetch(make, text, at, 1) for at in (none, middle, last))
    y, z = a + b * make.number(256), length + c * make.number(4)
    return (y * make.word(_K2) ^ z * make.word(_K0)).mixed() * make.word(_K2)


def _of_4(make: Maker, text: Word, length: Word, factor: Word) -> Word:
    a = _fetch(make, text, length - length, 4)
    b = _fetch(make, text, length - make.number(4), 4)
    return _joined(length + a * make.number(8), b, factor)


def _of_8(make: Maker, text: Word, length: Word, factor: Word) -> Word:
    a = _fetch(make, text, length - length, 8) + make.word(_K2)
    b = _fetch(make, text, length - make.number(8), 8)
    c = b.rotated(37) * factor + a
    d = (a.rotated(25) + b) * factor
    return _joined(c, d, factor)


def _of_17(make: Maker, text: Word, length: Word, factor: Word) -> Word:
    zero = length - length
    a = _fetch(make, text, zero, 8) * make.word(_K1)
    b = _fetch(make, text, zero + make.number(8), 8)
    c = _fetch(make, text, length - make.number(8), 8) * factor
    d = _fetch(make, text, length - make.number(16), 8) * make.word(_K2)
    u = (a + b).rotated(43) + c.rotated(30) + d
    v = a + (b + make.word(_K2)).rotated(18) + c
    return _joined(u, v, factor)
