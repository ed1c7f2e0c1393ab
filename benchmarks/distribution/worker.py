"""One process of the distribution benchmark; started by `benchmarks.distribution`.

Trains through `pipelines.train` and writes how long the steps took.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.common.step_times import Steps
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train
from serving.common.command_line import command_parser


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.distribution.worker", __doc__)
    for name in ("config", "data", "out", "steps"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--strategy", required=True)
    given = parser.parse_args()
    config = Config.load(given.config, [f"training.strategy={given.strategy}"])
    steps = Steps()
    data = Prepared.open(given.data)
    train(config, data, given.out, Console(quiet=True), callbacks=[steps], evaluate=False)
    given.steps.write_text(json.dumps(steps.milliseconds), encoding="utf-8")


if __name__ == "__main__":
    main()
