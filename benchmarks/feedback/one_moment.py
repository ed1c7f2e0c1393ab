"""Label likelihoods on a log as known at one moment: laws of delay, methods, seeds.

    python -m benchmarks.feedback.one_moment prepare --work WORK
    python -m benchmarks.feedback.one_moment run --work WORK --seeds 0 1 2
    python -m benchmarks.feedback.one_moment table --work WORK
    python -m benchmarks.feedback.one_moment prepare --log kuairand --raw DIR --work LIKES

Each law is a simulated log of its own with the final labels of every row (`delay_law`), or
KuaiRand-Pure's with delays planted into its likes (`planted_delays`). Training and
validation see what was known when the test days began; test rows are judged by the final labels. A
cell is one training; it is saved as it ends, and a second run goes on with those that are missing.
`table` keeps all cells in a file beside the table, which counts as done where WORK is gone.

Expected, written before the first run of the grid (two cells of a smaller delay had been looked
at). The window has 5 days and delays 3 in the mean, so some 15 to 25 % of train's conversions are
not known and `observed` predicts that much less than `oracle` (PCOC over clicks, as a ratio). `dfm`
closes most of it where the law is exponential, about half where it is not, since its hazard is
constant. `wait` is right for `click_only` and lowers the rate of methods with unclicked rows.
`weigh` lies between (its law is exponential, of the true mean). `fnw` ends where `observed` does,
for it needs a stream. `es_dfm` comes near `oracle`, by heads from closed windows. AUC moves by less
than .005 either way: a delay that hardly depends on the row costs the ranking next to nothing.

Expected of `trace`, written after the other likelihoods' ten seeds and before its first cell. Its
delays have no law, so PCOC lies within 3 % of `oracle`'s under all three, where `dfm`'s hazard was
within 2 %. Its heads learn from windows that are over, half of the rows, and `dfm`'s from all: so
intervals are wider than `dfm`'s. AUC within chance of `observed`, and below it for ESMM as `dfm`'s.

Expected for KuaiRand's planted likes, written before its first run. The mean is two days by author,
the window five; train and validation have ten days, so 15 to 20 % of likes after a click are hidden
and `observed` is that much below `oracle` in PCOC over clicks. The slice's likes are rarer and its
methods say less of them: AUC differs by less than over seeds. `dfm` closes half or more, `weigh`
all of it (its law is right in the mean, authors' scales aside), `es_dfm` and `fnw` nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from benchmarks.feedback.kept_cells import keep_cells, read_cells, restore_cells
from benchmarks.feedback.moment_logs import LOGS, Log
from benchmarks.paper.statistics import paired_difference
from idefn_tf._files import write_json, write_text
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import evaluate_part
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train
from serving.common.command_line import command_parser

RESULTS = Path(__file__).parents[1] / "results" / "feedback"
METHODS = ("click_only", "esmm", "all_negative", "idefn")
LIKELIHOODS = ("observed", "wait", "weigh", "fnw", "es_dfm", "dfm", "trace", "oracle")
METRICS = ("cvr_auc", "cvr_logloss", "cvr_pcoc")


@dataclass(frozen=True)
class Cell:
    """One training."""

    law: str
    method: str
    likelihood: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.law}-{self.method}-{self.likelihood}-{self.seed}"


def options(likelihood: str, log: Log) -> dict[str, Any]:
    """What a likelihood is told beside its name."""
    told: dict[str, dict[str, Any]] = {
        "weigh": {"mean_delay": log.mean_delay},
        "es_dfm": {"wait": 0.5},
    }
    return {"name": likelihood, **told.get(likelihood, {})}


def cells(seeds: Sequence[int], log: Log) -> Iterator[Cell]:
    """Yields every cell, seed by seed, so that an early end leaves whole tables."""
    for seed in seeds:
        for law in log.laws:
            for method in METHODS:
                for likelihood in LIKELIHOODS:
                    yield Cell(law, method, likelihood, seed)


def run(cell: Cell, work: Path, log: Log) -> None:
    """Trains a cell and keeps its metrics of test rows, whose labels are final."""
    path = work / "cells" / f"{cell.name}.json"
    if path.exists():
        return
    value = yaml.safe_load((log.configs / f"{cell.method}.yaml").read_text(encoding="utf-8"))
    value["feedback"] = options(cell.likelihood, log)
    value["training"] |= {"seed": cell.seed, "audit": False, "jit_compile": False}
    with TemporaryDirectory(dir=work) as folder:
        known = Prepared.open(work / "known" / cell.law)
        out = Path(folder) / "run"
        done = train(Config.parse(value), known, out, Console(quiet=True), evaluate=False)
        final = Prepared.open(work / "final" / cell.law)
        test = evaluate_part(done.load_model(), final, "test")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {space: {m: test[space].get(m) for m in METRICS} for space in SPACES})


SPACES = ("clicked", "all_funnel")


def table(work: Path, out: Path, log: Log) -> str:
    """Writes the table: metrics over seeds, and what each likelihood has over `observed`."""
    found: dict[tuple[str, str, str], dict[int, Any]] = defaultdict(dict)
    for name, cell in read_cells(work / "cells").items():
        law, method, likelihood, seed = name.split("-")
        found[law, method, likelihood][int(seed)] = cell
    lines = [
        "| law | method | likelihood | seeds | clicked AUC | minus observed | PCOC / oracle's | "
        "clicked log loss minus oracle's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for law in log.laws:
        for method in METHODS:
            for likelihood in LIKELIHOODS:
                cell = found.get((law, method, likelihood))
                if cell:
                    lines.append(_row(law, method, likelihood, cell, found))
    text = "\n".join(lines) + "\n"
    write_text(out, text)
    return text


def _row(law: str, method: str, likelihood: str, cell: dict[int, Any], found: Any) -> str:
    def values(name: str, metric: str) -> dict[int, float]:
        return {s: v["clicked"][metric] for s, v in found[law, method, name].items()}

    auc = values(likelihood, "cvr_auc")
    gain = _paired(auc, values("observed", "cvr_auc"))
    final = values("oracle", "cvr_pcoc")
    ratio = {s: v / final[s] for s, v in values(likelihood, "cvr_pcoc").items() if s in final}
    pcoc = _paired(ratio, dict.fromkeys(ratio, 0.0))
    loss = _paired(values(likelihood, "cvr_logloss"), values("oracle", "cvr_logloss"))
    mean = float(np.mean(list(auc.values())))
    return (
        f"| {law} | {method} | {likelihood} | {len(cell)} | {mean:.4f} | {gain} | {pcoc} | {loss} |"
    )


def _paired(first: dict[int, float], second: dict[int, float]) -> str:
    """The mean difference over the seeds of both, and half of its interval where it has one."""
    return str(paired_difference(first, second) or "")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.feedback.one_moment", __doc__)
    parser.add_argument("step", choices=["prepare", "run", "table"])
    parser.add_argument("--work", type=Path, required=True, help="logs, prepared data and cells")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--log", choices=[*LOGS], default="simulated")
    parser.add_argument("--raw", type=Path, help="KuaiRand-Pure's folder, for --log kuairand")
    parser.add_argument("--out", type=Path, help="the table; by default in results/feedback")
    given = parser.parse_args(arguments)
    log = LOGS[given.log]
    name = "one_moment_table.md" if log is LOGS["simulated"] else "planted_likes_table.md"
    out = given.out or RESULTS / name
    restore_cells(out.with_suffix(".json"), given.work / "cells")
    if given.step == "prepare":
        for law in log.laws:
            log.prepare(law, given.work, given.raw)
    elif given.step == "run":
        for cell in cells(given.seeds, log):
            run(cell, given.work, log)
    else:
        table(given.work, out, log)
        keep_cells(given.work / "cells", out.with_suffix(".json"))


if __name__ == "__main__":
    main()
