r"""Searches a config's space with KerasTuner and trains the winner.

    python -m pipelines.tune --config pipelines/configs/kuairand/idefn.tune.yaml --data DIR \
                             --out OUT --trials 20 --tuner hyperband

Trials see the training and validation rows only. Every trial gets a process of its own, so that
memory does not grow over trials; --together trains all of them in this one. A search stopped or
killed at any moment goes on when the same command is given again, within its last trial. Several
processes share one search with KerasTuner's variables: KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT name the chief, and KERASTUNER_TUNER_ID is "chief" or a worker's own name;
every one is given the same command and sees the same --out.

OUT then holds trials.csv, best.yaml (a config that pipelines.train takes) and best/ (its run).
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from idefn_tf._files import read_json, write_json
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.folder_owner import one_owner
from pipelines.experiment.config import Config
from pipelines.experiment.interruption import TERMINATED, Terminated
from pipelines.experiment.run_folder import Run
from pipelines.experiment.tuning_config import Tuning
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train
from pipelines.tuning.resumable_oracles import TUNERS, make_oracle
from pipelines.tuning.search import Listener, Search, SearchStopped
from pipelines.tuning.subprocess_call import Stopped, run_apart
from pipelines.tuning.trials import describe, winning_config

#: The winner's config and run in a search's folder.
BEST_CONFIG, BEST_RUN = "best.yaml", "best"


@one_owner("tune", unless=lambda given: _is_worker())
def tune(
    config: Config,
    data_dir: str | Path | Prepared,
    out: str | Path,
    console: Console,
    *,
    trials: int = 10,
    tuner: str = "random",
    seed: int = 0,
    apart: bool = True,
    listener: Listener | None = None,
) -> Run | None:
    """Searches, and trains the winner anew.

    Args:
        config: an experiment with `tuning`.
        data_dir: a prepared folder, or its address.
        out: the search's folder; the same search is taken up.
        console: says what is done.
        trials: at most so many, those of earlier calls included.
        tuner: one of `TUNERS`.
        seed: of the search; trainings keep their config's.
        apart: whether every trial gets a process of its own. That process imports the caller's
            main module, so a script must call this under ``if __name__ == "__main__"``.
        listener: told of every finished trial, in this process.

    Returns:
        The winner's run; None on a worker, whose chief trains it.

    Raises:
        ValueError: if the config has no space, the folder holds another search, or no trial was
            completed.
    """
    if config.tuning is None:
        raise ValueError(
            "config: must hold `tuning` with a `space`; see pipelines/configs/*/*.tune.yaml"
        )
    if trials < 1:
        raise ValueError(f"--trials: must be 1 or more, received {trials}")
    tuning, data, root = config.tuning, Prepared.open(data_dir), on_disk(out, "--out")
    epochs = tuning.epochs or config.training.epochs
    oracle = make_oracle(tuner, tuning.space, trials, epochs, seed)
    oracle.verbose = 0
    worker = _is_worker()
    if not worker:
        _begin(root, config, tuning, data, tuner, seed)
    console.reading("prepared data", data.place)
    console.step(
        f"searches for the greatest {tuning.objective} on validation, {tuner}, up to {trials} "
        f"trials of at most {epochs} epochs"
    )
    search = Search(
        oracle, config, tuning.space, tuning.objective, epochs, data, root, console, apart, listener
    )
    search.search(verbose=0)
    if worker:
        console.note("the chief has no more trials; it trains the winner")
        return None
    search.write_results()
    _show(search, console, str(tuning.objective))
    chosen = search.winner()
    best = winning_config(config, chosen)
    best.save(root / BEST_CONFIG)
    console.wrote(root / BEST_CONFIG, f"({describe(chosen)})")
    console.step("trains the winner anew, for as long as its config says")
    return train(best, data, root / BEST_RUN, console)


def _is_worker() -> bool:
    """Whether a chief elsewhere leads the search."""
    role = os.environ.get("KERASTUNER_TUNER_ID", "")
    return "KERASTUNER_ORACLE_IP" in os.environ and "chief" not in role


def _begin(
    root: Path, config: Config, tuning: Tuning, data: Prepared, tuner: str, seed: int
) -> None:
    """Notes what is searched, or refuses a folder that holds another search."""
    value: dict[str, Any] = {
        "config": config.model_dump(mode="json", exclude={"tuning"}),
        "tuning": tuning.model_dump(mode="json"),
        "data": data.card.get("fingerprint"),
        "tuner": tuner,
        "seed": seed,
    }
    path = root / "search.json"
    if path.is_file():
        have = read_json(path, f"delete {root} to search anew")
        different = [key for key in value if have.get(key) != json.loads(json.dumps(value[key]))]
        if different:
            raise ValueError(
                f"--out: {root} holds a search with another {', '.join(different)}; give a new "
                "folder, or delete this one to search anew"
            )
        return
    root.mkdir(parents=True, exist_ok=True)
    write_json(path, value)


def _show(search: Search, console: Console, goal: str) -> None:
    rows = search.results()
    done = [row for row in rows if row["status"] == "completed"]
    done.sort(key=lambda row: -row["goal"])
    failed = [row for row in rows if row["status"] == "failed"]
    console.table(
        f"best trials of {len(rows)} ({len(failed)} failed)",
        ("trial", goal, "epochs", "values"),
        [[r["trial"], f"{r['goal']:.4f}", r["epochs"], describe(r["values"])] for r in done[:10]],
    )
    if len(rows) < (search.limit or 0):
        console.note(f"the space was exhausted after {len(rows)} trials")
    for row in failed:
        console.note(f"trial {row['trial']} failed: {row['reason']}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser(
        "tune", __doc__, "overrides a key of the config, e.g. tuning.epochs=3; repeatable"
    )
    parser.add_argument("--config", required=True, help="an experiment's YAML file with `tuning`")
    parser.add_argument("--data", required=True, help="a prepared folder, or its s3:// address")
    parser.add_argument("--out", required=True, help="the search's folder, new or to be resumed")
    parser.add_argument("--trials", type=int, default=10, help="at most so many (default 10)")
    parser.add_argument("--tuner", choices=TUNERS, default="random", help="who chooses")
    parser.add_argument("--seed", type=int, default=0, help="of the search (default 0)")
    parser.add_argument(
        "--together",
        action="store_true",
        help="trains all trials in this process: each begins some seconds sooner, but what XLA "
        "compiled stays, so memory grows, and a crash of one ends the search",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="writes OUT/tensorboard with HParams"
    )
    parser.add_argument("--no-report", action="store_true", help="leaves report.html out")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        listener: Listener | None = None
        config = Config.load(given.config, given.set)
        data = Prepared.open(given.data)
        if given.tensorboard:
            from pipelines.experiment.tensorboard import HParams

            listener = HParams(Path(given.out) / "tensorboard")
            if not given.together:  # TensorFlow's writer would keep the trials' accelerator
                listener = functools.partial(run_apart, listener)
        try:
            run = tune(
                config,
                data,
                given.out,
                console,
                trials=given.trials,
                tuner=given.tuner,
                seed=given.seed,
                apart=not given.together,
                listener=listener,
            )
        except (SearchStopped, Terminated, Stopped) as reason:
            console.error(str(reason))
            return TERMINATED
        if run is not None and not given.no_report:
            from pipelines.report import report  # matplotlib, for those who draw

            report(run.root, console, data=data)
        return 0

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
