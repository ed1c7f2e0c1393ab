"""The grid: which cells there are, running those that are missing, reading those that are done."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.paper.cell import CELL, finished
from pipelines.cli.arguments import add_quiet
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from serving.common.command_line import command_parser

RESULTS = Path(__file__).resolve().parents[1] / "results" / "paper"
_POLL_SECONDS = 0.5
_LOG_LINES = 12


@dataclass(frozen=True)
class Cell:
    """One training run of the comparison.

    Attributes:
        setting: see `benchmarks.paper.settings`.
        variant: the table row's method.
        backbone: the towers' kind.
        seed: of initial weights and of the order of rows.
        config: the whole experiment.
        folder: the run's folder.
        overrides: what was put on top of the setting, by dotted key.
    """

    setting: str
    variant: str
    backbone: str
    seed: int
    config: Config
    folder: Path
    overrides: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How messages call it."""
        extra = "".join(f" {k.rpartition('.')[2]}={v:g}" for k, v in self.overrides.items())
        return f"{self.setting} {self.backbone} {self.variant}{extra} seed {self.seed}"

    @property
    def config_key(self) -> str:
        """What a result's configs are filed under: one for all seeds."""
        return f"{self.setting}/{self.backbone}/{self.variant}"

    def plain_config(self) -> dict[str, Any]:
        """Returns the config as a result holds it: plain values, without the seed."""
        plain = self.config.model_dump(mode="json")
        plain["training"].pop("seed")
        return plain


def grid_parser(module: str, description: str | None, out: Path) -> argparse.ArgumentParser:
    """Returns a parser of what every grid is told: its data, its name, where runs and results go.

    Args:
        module: whose command line it is, such as "paper".
        description: of the module.
        out: where the runs go unless --out says otherwise.
    """
    parser = command_parser(f"benchmarks.{module}", description)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="a prepared folder")
    add("--name", required=True, help="of the results, e.g. kuairand_slice")
    add("--out", type=Path, default=out, help="where the runs go")
    add("--results", type=Path, default=RESULTS, help="where page and pictures go")
    add_quiet(parser)
    return parser


def run_cells(
    cells: Sequence[Cell],
    data: Path,
    console: Console,
    jobs: int = 1,
    time_limit: float | None = None,
) -> list[str]:
    """Runs every cell that is not finished, each in a process of its own.

    A process per cell keeps memory flat and one cell's failure from ending the rest. Stopped at
    any moment, the same call goes on where it was: finished cells are skipped, half-trained ones
    resume after their last whole epoch.

    Args:
        cells: the grid, in the order of running.
        data: the prepared folder.
        console: says what is done.
        jobs: how many at a time.
        time_limit: seconds after which no further cell begins, or None.

    Returns:
        Messages of the cells that failed.

    Raises:
        ValueError: if `jobs` is below 1, or a folder holds a cell of another config.
    """
    if jobs < 1:
        raise ValueError(f"--jobs: must be 1 or more, received {jobs}")
    waiting = [cell for cell in cells if not finished(cell.folder, cell.config, data)]
    console.note(f"{len(cells) - len(waiting)} of {len(cells)} cells are finished already")
    started, failures = time.monotonic(), []
    running: list[tuple[Cell, subprocess.Popen[bytes], float]] = []
    try:
        while waiting or running:
            late = time_limit is not None and time.monotonic() - started > time_limit
            if late and waiting:
                console.warn(f"time limit: {len(waiting)} cells wait for the next call")
                waiting = []
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                console.step(f"{cell.title} ({len(waiting)} more wait)")
                running.append((cell, _start(cell, data), time.monotonic()))
            for entry in list(running):
                cell, process, begun = entry
                if process.poll() is None:
                    continue
                running.remove(entry)
                if process.returncode != 0 or not (cell.folder / CELL).is_file():
                    failures.append(f"{cell.title}: {_last_lines(cell)}")
                    console.warn(failures[-1])
                else:
                    console.note(f"{cell.title}: {time.monotonic() - begun:.0f} s")
            time.sleep(_POLL_SECONDS)
    finally:
        for _, process, _ in running:
            process.terminate()
            process.wait()
    return failures


def read_rows(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Returns one row per finished cell: what it was, how long it took, and the test metrics."""
    rows = []
    for cell in cells:
        path = cell.folder / CELL
        if not path.is_file():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        rows.append(
            {
                "setting": cell.setting,
                "method": cell.variant,
                "backbone": cell.backbone,
                "seed": cell.seed,
                "overrides": dict(cell.overrides),
                "best_epoch": found["best_epoch"],
                "epochs": found["epochs"],
                "seconds": found["seconds"],
                "code": found["code"],
                "metrics": found["metrics"].get("test", {}),
                "validation": _selection_only(found["metrics"].get("validation", {})),
            }
        )
    return rows


def _selection_only(spaces: Mapping[str, Any]) -> dict[str, Any]:
    """Of validation, what a choice may look at."""
    return {name: spaces[name] for name in ("all_funnel", "clicked") if name in spaces}


def _start(cell: Cell, data: Path) -> subprocess.Popen[bytes]:
    cell.folder.mkdir(parents=True, exist_ok=True)
    config = cell.folder / "wanted.yaml"
    text = yaml.safe_dump(cell.config.model_dump(mode="json"), sort_keys=False)
    config.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.paper.cell"]
    command += ["--config", str(config), "--data", str(data), "--out", str(cell.folder)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (cell.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def _last_lines(cell: Cell) -> str:
    lines = (cell.folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return "failed; the end of its log:\n" + "\n".join(lines[-_LOG_LINES:])
