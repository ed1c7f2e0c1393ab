"""Label likelihoods in a stream: hour by hour on a simulated log, against both controls.

    python -m benchmarks.feedback.streams prepare --work WORK
    python -m benchmarks.feedback.streams run --work WORK --seeds 0 1 2
    python -m benchmarks.feedback.streams table --work WORK

Every seed is a simulated log of its own (and the seed of its trainings). From the stream's begin on
conversions are likelier (a drift of 1 in the logit), so that a model that learns no more falls
behind. A cell is one `pipelines.stream` with
`--controls`: its likelihood, the pretrained model and the oracle, all from the same weights. It is
saved as it ends, and a second run goes on with those that are missing. `table` keeps all cells in a
file beside the table, which counts as done where WORK is gone.

Expected, written before the first run of the grid. The papers' order (Yang et al. 2021; Chen et
al. 2022): `defuse` and `es_dfm` ahead of `fnw`, `fnw` ahead of `observed`, `defer` between, all
ahead of `pretrained` and behind `oracle`, in AUC, PR-AUC and log loss. Delays here hardly depend on
what ranks, so AUC separates `pretrained` from the rest and little else; log loss and PCOC separate
`observed`, which counts a converted click as a negative and a positive and ends at p / (1 + p),
from those that are stationary at p.

Expected of ESMM and IdeFN, written after the tables of AllNegative and ClickOnly and before theirs:
IdeFN as AllNegative, within chance, for its pseudo-labels are unclicked rows, which no likelihood
touches. ESMM learns the product, whose conversion factor has no loss of its own: the same order,
with a PCOC of `observed` further from the oracle's, and less of `pretrained`'s fall made good.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from benchmarks.common.machine import machine_facts
from benchmarks.feedback.kept_cells import keep_cells, read_cells, restore_cells
from benchmarks.feedback.moment_logs import delayed_schema
from benchmarks.paper.statistics import paired_difference
from idefn_tf._files import write_json, write_text
from pipelines.cli.console import Console
from pipelines.datasets.registry import prepare
from pipelines.datasets.simulated_funnel import simulated_funnel
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared
from pipelines.stream import RESULT, stream
from pipelines.streaming.curves import ORACLE, PRETRAINED
from pipelines.streaming.replay import METHOD
from serving.common.command_line import command_parser

RESULTS = Path(__file__).parents[1] / "results" / "feedback"
CONFIGS = Path(__file__).parents[2] / "pipelines" / "configs" / "simulated"
#: Cells by method; `fnc` is for methods of clicked rows alone.
METHODS = {
    "all_negative": ("observed", "fnw", "es_dfm", "defuse", "defer"),
    "click_only": ("observed", "fnw", "es_dfm", "defuse", "defer", "fnc"),
    "esmm": ("observed", "fnw", "es_dfm", "defuse", "defer"),
    "idefn": ("observed", "fnw", "es_dfm", "defuse", "defer"),
}
HOUR = 1 / 24
#: Likelihoods that wait look at a click after an hour.
OPTIONS = {name: {"wait": HOUR} for name in ("es_dfm", "defuse", "defer")}
EXPOSURES, DELAY_DAYS, WINDOW_HOURS = 100_000, 0.5, 48
PRETRAIN_DAYS, STREAM_HOURS, EPOCHS = 5.0, 60, 3
METRICS = ("auc", "pr_auc", "log_loss", "pcoc")


def prepare_all(work: Path, seeds: Sequence[int], drift: float) -> None:
    """Simulates and prepares one log for every seed."""
    for seed in seeds:
        if (work / "data" / str(seed)).exists():
            continue
        options = Options(
            exposures=EXPOSURES, preset="easy", seed=seed, delay="exponential",
            delay_days=DELAY_DAYS, drift=drift,
        )  # fmt: skip
        simulated_funnel.simulate(work / "raw" / str(seed), options, Console(quiet=True))
        given: dict[str, Any] = {
            "schema": delayed_schema(WINDOW_HOURS),
            "console": Console(quiet=True),
        }
        prepare("simulated_funnel", work / "raw" / str(seed), work / "data" / str(seed), **given)


def cells(seeds: Sequence[int], methods: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Yields (method, likelihood, seed), method by method and seed by seed."""
    for method in methods:
        for seed in seeds:
            for likelihood in METHODS[method]:
                yield method, likelihood, seed


def run(method: str, likelihood: str, seed: int, work: Path) -> None:
    """Streams a cell and keeps its curves."""
    path = work / "cells" / f"{method}-{likelihood}-{seed}.json"
    if path.exists():
        return
    value = yaml.safe_load((CONFIGS / f"{method}.yaml").read_text(encoding="utf-8"))
    value["feedback"] = {"name": likelihood, **OPTIONS.get(likelihood, {})}
    value["training"] |= {"seed": seed, "audit": False, "jit_compile": False}
    value["training"] |= {"batch_size": 512, "epochs": EPOCHS}
    data = Prepared.open(work / "data" / str(seed))
    with TemporaryDirectory(dir=work) as folder:
        stream(
            Config.parse(value), data, Path(folder) / "run", Console(quiet=True),
            pretrain_days=PRETRAIN_DAYS, hours=STREAM_HOURS, controls=True, draw=False,
        )  # fmt: skip
        found = json.loads((Path(folder) / "run" / RESULT).read_text(encoding="utf-8"))
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"mean": found["mean"], "pooled": found["pooled"], "ri": found["ri"]}
    trained = [hour["trained"][METHOD] for hour in found["hours"]]
    kept["trained"] = {k: sum(one[k] for one in trained) for k in trained[0]}
    write_json(path, {**kept, "load": machine_facts()["load"]})


Cells = Mapping[tuple[str, str], dict[int, Any]]


def read(work: Path) -> Cells:
    """Reads the cells that there are, by method and likelihood."""
    found: dict[tuple[str, str], dict[int, Any]] = defaultdict(dict)
    for name, cell in read_cells(work / "cells").items():
        method, likelihood, seed = name.split("-")
        found[method, likelihood][int(seed)] = cell
    return found


def table(work: Path, out: Path) -> str:
    """Writes the table: metrics of all scored clicks, and differences to `observed`, by seed."""
    found = read(work)
    columns = ["method", "likelihood", "seeds", "AUC", "minus observed", "log loss"]
    columns += ["minus observed", "PCOC / oracle's", "RI AUC", "RI PR-AUC", "RI log loss"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for method, likelihoods in METHODS.items():
        if not found.get((method, "observed")):
            continue
        lines.append(_control(method, PRETRAINED, found))
        for likelihood in likelihoods:
            if found.get((method, likelihood)):
                lines.append(_row(method, likelihood, found))
        lines.append(_control(method, ORACLE, found))
    text = "\n".join(lines) + "\n"
    write_text(out, text)
    return text


def _values(cell: Mapping[int, Any], learner: str, metric: str) -> dict[int, float]:
    return {seed: one["pooled"][learner]["clicked"][metric] for seed, one in cell.items()}


def _line(method: str, name: str, cell: Any, learner: str, found: Cells) -> list[str]:
    observed, texts = found[method, "observed"], []
    for metric in ("auc", "log_loss"):
        values = _values(cell, learner, metric)
        texts.append(f"{np.mean(list(values.values())):.4f}")
        same = learner == METHOD and name == "observed"
        base = _values(observed, METHOD, metric)
        texts.append("" if same else _difference(values, base))
    ratio = {
        seed: value / _values(cell, ORACLE, "pcoc")[seed]
        for seed, value in _values(cell, learner, "pcoc").items()
    }
    return [method, name, str(len(cell)), *texts, _interval(ratio)]


def _row(method: str, name: str, found: Cells) -> str:
    cell = found[method, name]
    improved = [
        _interval({s: one["ri"]["pooled"][METHOD]["clicked"][m] for s, one in cell.items()})
        for m in ("auc", "pr_auc", "log_loss")
    ]
    return "| " + " | ".join([*_line(method, name, cell, METHOD, found), *improved]) + " |"


def _control(method: str, learner: str, found: Cells) -> str:
    cell = found[method, "observed"]
    ends = ["0"] * 3 if learner == PRETRAINED else ["1"] * 3
    return "| " + " | ".join([*_line(method, learner, cell, learner, found), *ends]) + " |"


def _interval(values: Mapping[int, float | None]) -> str:
    kept = {seed: value for seed, value in values.items() if value is not None}
    return _difference(kept, dict.fromkeys(kept, 0.0))


def _difference(first: Mapping[int, float], second: Mapping[int, float]) -> str:
    """The mean difference over seeds of both, and half of its 95 % interval."""
    return str(paired_difference(dict(first), dict(second)) or "")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command_parser("benchmarks.feedback.streams", __doc__)
    parser.add_argument("step", choices=["prepare", "run", "table"])
    parser.add_argument("--work", type=Path, required=True, help="logs, prepared data and cells")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=[*METHODS], default=[*METHODS])
    parser.add_argument(
        "--drift", type=float, default=1.0, help="of a conversion; alike at each step"
    )
    parser.add_argument("--out", type=Path, help="the table; by default in results/feedback")
    given = parser.parse_args(arguments)
    name = {1.0: "streams", 0.0: "streams_no_drift"}.get(given.drift, f"streams_{given.drift:g}")
    out = given.out or RESULTS / f"{name}_table.md"
    restore_cells(out.with_suffix(".json"), given.work / "cells")
    if given.step == "prepare":
        prepare_all(given.work, given.seeds, given.drift)
    elif given.step == "run":
        for cell in cells(given.seeds, given.methods):
            run(*cell, given.work)
    else:
        table(given.work, out)
        keep_cells(given.work / "cells", out.with_suffix(".json"))


if __name__ == "__main__":
    main()
