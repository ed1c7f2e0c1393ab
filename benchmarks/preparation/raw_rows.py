"""Makes files in Ali-CCP's raw form of any size: invented ids, the published rates and sizes.

Sizes of vocabularies, absent rates, click and conversion rates and exposures per common record are
those of the data set; lengths of the behaviour lists are invented. The rows of a common record
stand anywhere in the file, the worst case for whoever joins them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_CHUNK = 250_000
_RECORD_CHUNK = 10_000
#: Exposures per common record in train and test.
_PER_RECORD = {"train": 42_300_135 / 730_600, "test": 43_016_840 / 884_212}
_CLICK, _CONVERSION, _PROBE = 0.03887, 0.0055, 5.4e-6
_MALFORMED_EVERY = 100_000
#: Field: distinct ids, absent rate, mean entries (1: a single id), weighted.
_SKELETON = {
    "205": (900_000, 0.0, 1, False),
    "206": (8_000, 0.0, 1, False),
    "207": (400_000, 0.0, 1, False),
    "210": (90_000, 0.0, 2, False),
    "216": (150_000, 0.27, 1, False),
    "508": (7_000, 0.60, 1, True),
    "509": (200_000, 0.74, 1, True),
    "702": (90_000, 0.74, 1, True),
    "853": (60_000, 0.55, 3, True),
    "301": (3, 0.0, 1, False),
}
_COMMON = {
    "101": (0, 0.003, 1, False),  # as many users as records / 3
    "109_14": (9_000, 0.02, 25, True),
    "110_14": (900_000, 0.02, 45, True),
    "127_14": (300_000, 0.02, 35, True),
    "150_14": (90_000, 0.02, 45, True),
    "121": (98, 0.13, 1, False),
    "122": (14, 0.13, 1, False),
    "124": (3, 0.13, 1, False),
    "125": (8, 0.13, 1, False),
    "126": (4, 0.59, 1, False),
    "127": (4, 0.13, 1, False),
    "128": (3, 0.13, 1, False),
    "129": (5, 0.37, 1, False),
}


@dataclass
class Made:
    """What the files hold, for the gate: nothing may be lost on the way."""

    rows: dict[str, int] = field(default_factory=dict)
    clicks: int = 0
    conversions: int = 0
    probes: int = 0
    malformed: int = 0
    bytes: int = 0

    def as_json(self) -> dict[str, object]:
        """Returns the counts."""
        return asdict(self)


def make(raw: Path, rows: int, seed: int = 0) -> Made:
    """Writes the four files with `rows` exposures, half of them train, half test."""
    raw.mkdir(parents=True, exist_ok=True)
    made, rng = Made(), np.random.default_rng(seed)
    for origin, count in (("train", rows - rows // 2), ("test", rows // 2)):
        records = max(1, round(count / _PER_RECORD[origin]))
        keys = _keys(records, rng)
        _write(raw / f"common_features_{origin}.csv", _records(keys, rng))
        _write(raw / f"sample_skeleton_{origin}.csv", _exposures(count, keys, made, rng))
        made.rows[origin] = count
    made.bytes = sum(path.stat().st_size for path in raw.glob("*.csv"))
    return made


def _write(path: Path, blocks: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for block in blocks:
            file.write(block)


def _records(keys: pa.Array, rng: np.random.Generator) -> Iterator[bytes]:
    for first in range(0, len(keys), _RECORD_CHUNK):
        some = keys.slice(first, _RECORD_CHUNK)
        sizes = {
            name: (size or len(keys) // 3 + 1, *rest) for name, (size, *rest) in _COMMON.items()
        }
        features, counts = _features(len(some), sizes, 10_000_000, rng)
        yield _lines(some, counts, features)


def _exposures(count: int, keys: pa.Array, made: Made, rng: np.random.Generator) -> Iterator[bytes]:
    for first in range(0, count, _CHUNK):
        rows = min(_CHUNK, count - first)
        click = rng.random(rows) < _CLICK
        conversion = rng.random(rows) < np.where(click, _CONVERSION, _PROBE)
        made.clicks += int(click.sum())
        made.conversions += int((click & conversion).sum())
        made.probes += int((~click & conversion).sum())
        key = keys.take(pa.array(rng.integers(0, len(keys), rows)))
        features, counts = _features(rows, _SKELETON, 20_000_000, rng)
        head = [np.arange(first + 1, first + rows + 1), click.astype(int), conversion.astype(int)]
        yield _lines(*head, key, counts, features)
        broken = rows // _MALFORMED_EVERY
        made.malformed += broken
        yield b"9,0,0,cut off in the mid\n" * broken


def _features(
    rows: int, fields: dict[str, tuple], first_id: int, rng: np.random.Generator
) -> tuple[pa.Array, np.ndarray]:
    """Returns each row's features as text, and how many there are."""
    texts, counts = [], np.zeros(rows, np.int64)
    for name, (distinct, absent, mean, weighted) in fields.items():
        first_id += 1_000_000
        number = np.ones(rows, np.int64) if mean == 1 else rng.geometric(1 / mean, rows)
        number[rng.random(rows) < absent] = 0
        counts += number
        entries = int(number.sum())
        # a few ids are common, most are rare
        ids = first_id + (distinct * rng.random(entries) ** 3).astype(np.int64)
        value = pa.scalar("1.0")
        if weighted:
            logs = np.round(np.log(1 + np.arange(1, 200)), 5).astype(str)
            value = pa.array(logs).take(pa.array(rng.geometric(0.4, entries).clip(1, 199) - 1))
        parts = (
            pa.scalar(f"{name}\x02"),
            pa.array(ids).cast(pa.string()),
            pa.scalar("\x03"),
            value,
        )
        entry = pc.binary_join_element_wise(*parts, "")
        offsets = pa.array(np.concatenate(([0], np.cumsum(number))).astype(np.int32))
        text = pc.binary_join(pa.ListArray.from_arrays(offsets, entry), "\x01")
        texts.append(pc.if_else(pa.array(number > 0), text, pa.scalar(None, pa.string())))
    return pc.binary_join_element_wise(*texts, "\x01", null_handling="skip"), counts


def _lines(*columns: np.ndarray | pa.Array) -> bytes:
    texts = [
        column if isinstance(column, pa.Array) else pa.array(column).cast(pa.string())
        for column in columns
    ]
    lines = pc.binary_join_element_wise(*texts, ",")
    lines = pc.binary_join_element_wise(lines, pa.scalar("\n"), "")
    offsets = np.frombuffer(lines.buffers()[1], np.int32)
    start, end = offsets[lines.offset], offsets[lines.offset + len(lines)]
    return memoryview(lines.buffers()[2])[start:end].tobytes()


def _keys(count: int, rng: np.random.Generator) -> pa.Array:
    """Returns distinct keys of 16 hexadecimal digits."""
    upper = rng.integers(0, 2**32, count, dtype=np.uint64) << np.uint64(32)
    digits = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(
        256, 2
    )
    numbers = (upper | np.arange(count, dtype=np.uint64)).astype(">u8").view(np.uint8)
    text = digits[numbers].ravel()
    offsets = np.arange(0, 16 * count + 1, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))
