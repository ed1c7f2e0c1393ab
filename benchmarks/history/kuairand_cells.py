"""AUCs of the study's cells, kept by seed in a committed file beside the table.

Scores of rows are too many to commit. Where they are gone, a seed's AUCs still count in the table's
means and deviations; paired intervals are of the seeds whose scores are at hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from idefn_tf._files import read_json, write_json

Columns = Mapping[str, float]


def keep(path: Path, found: Mapping[str, Mapping[int, Columns]]) -> dict[str, dict[str, Columns]]:
    """Adds cells to the file and returns all, by row of the table and seed.

    Args:
        path: the file.
        found: AUCs by row, seed and column; they replace what the file held of the same seed.
    """
    known: dict[str, dict[str, Columns]] = read_json(path) if path.exists() else {}
    for name, by_seed in found.items():
        seeds = {str(seed): dict(columns) for seed, columns in by_seed.items()}
        known[name] = dict(sorted({**known.get(name, {}), **seeds}.items(), key=_first_seed))
    write_json(path, dict(sorted(known.items())))
    return known


def _first_seed(pair: tuple[str, Columns]) -> int:
    return int(pair[0].partition("-")[0])


def spread(cells: Mapping[str, Columns], column: str) -> tuple[int, float, float]:
    """Returns number of seeds, mean and deviation (of n - 1) of a column.

    A key such as ``"0-3"`` is of seeds that are known by mean and deviation alone; its `column`
    holds the mean and ``column + " deviation"`` the deviation. The sums of squares add up::

        mean = sum(n_k m_k) / n
        (n - 1) d^2 = sum((n_k - 1) d_k^2 + n_k (m_k - mean)^2)
    """
    parts = [
        (len(_seeds(key)), columns[column], columns.get(f"{column} deviation", 0.0))
        for key, columns in cells.items()
    ]
    count = sum(n for n, _, _ in parts)
    mean = sum(n * m for n, m, _ in parts) / count
    squares = sum((n - 1) * d**2 + n * (m - mean) ** 2 for n, m, d in parts)
    return count, mean, math.sqrt(squares / (count - 1)) if count > 1 else math.nan


def _seeds(key: str) -> Sequence[int]:
    first, _, last = key.partition("-")
    return range(int(first), int(last or first) + 1)
