"""Preparation beside earlier releases: the same raw files, in turns, and where the time goes."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.checkouts import told_by
from benchmarks.common.machine import ROOT

NOW = "now"
_PROCESS = ROOT / "benchmarks" / "preparation" / "stage_times_process.py"
_MEASURED = ("seconds", "processor_seconds", "peak_memory_gib")


def compare(
    checkouts: Sequence[Path],
    options: Sequence[str],
    folder: Path,
    rounds: int,
    watched: Callable[[Path, Sequence[str], Path], dict[str, Any]],
) -> dict[str, Any]:
    """Prepares with every checkout and with this one, in turns that alternate.

    Args:
        checkouts: working trees of earlier releases.
        options: the data set and its options, without `--out`.
        folder: where prepared files go; they are removed.
        rounds: how often each prepares.
        watched: runs preparation of a checkout and measures it, from (checkout, options, folder).

    Returns:
        By release the medians, and for each earlier one the median of the ratios within rounds;
        and seconds of the processor by stage, from one more turn.

    Raises:
        ValueError: if releases write other numbers of rows.
    """
    trees = {**{path.name: path for path in checkouts}, NOW: ROOT}
    load = [round(value, 1) for value in os.getloadavg()]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for turn in range(rounds):
        for name in list(trees)[:: 1 if turn % 2 == 0 else -1]:
            runs[name].append(watched(trees[name], options, folder))
            print(turn, name, runs[name][-1]["seconds"], flush=True)
    if len({str(run["splits"]) for found in runs.values() for run in found}) > 1:
        raise ValueError("gate: the releases count other rows, clicks or conversions")
    stages = {name: _stages(path, options, folder) for name, path in trees.items()}
    rows = sum(part["rows"] for part in runs[NOW][0]["splits"].values())
    return {
        "rows": rows,
        "rounds": rounds,
        "load_at_the_start": load,
        "releases": {name: _medians(found) for name, found in runs.items()},
        "now_over": {
            name: {
                "rows_per_second": _ratio(found, runs[NOW], "seconds"),
                "rows_per_processor_second": _ratio(found, runs[NOW], "processor_seconds"),
                "memory": _ratio(runs[NOW], found, "peak_memory_gib"),
            }
            for name, found in runs.items()
            if name != NOW
        },
        "processor_seconds_by_stage": stages,
    }


def _stages(checkout: Path, options: Sequence[str], folder: Path) -> dict[str, float]:
    out = folder / "prepared"
    shutil.rmtree(out, ignore_errors=True)
    found = told_by(checkout, _PROCESS, *options, "--out", str(out))
    shutil.rmtree(out)
    return {stage: round(seconds, 2) for stage, seconds in found.items()}


def _medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 2) for key in _MEASURED}


def _ratio(
    runs: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], key: str
) -> float:
    pairs = zip(runs, others, strict=True)
    return round(statistics.median(run[key] / other[key] for run, other in pairs), 2)
