"""The question where the truth is known: simulated users with a taste that their past tells.

    python -m benchmarks.labels.known_taste run --worlds WORLDS --out OUT --seeds 10
    python -m benchmarks.labels.known_taste table --worlds WORLDS --out OUT

`--worlds` is a folder of prepared folders, one a world, with history and the oracle's labels:
``python -m pipelines.prepare simulated-funnel --exposures 120000 --preset kuai --taste 1
--alignment -0.3 --users 2000 --selection S --schema schemas/simulated_funnel_history.yaml --out
WORLDS/selection_S``. Each cell's test scores are saved as it ends, seed by seed over all worlds;
the same command runs what is missing. Rows: `benchmarks.labels.known_truth`.

Expected at selection 0, .3 and .8, written before any training of the rows that are new here (the
truth's, alpha .9's, the present recipe's and the history columns' gains stood already: +.0090,
+.0052, +.0020; +.0022, +.0011, -.0004; within .0003; within .0003). All are differences to
AllNegative, alpha .8, of CVR AUC against the known potential conversion:

* click tower's layer, attended sequences: within .0005 of 0. Labels worth .1 on so few rows move
  little, whatever rows are compared by.
* prices by propensity: within .0005 of 0 and level with one mass budget. At selection 0 a hair
  ahead of it (+.0002), since there who clicks gladly converts less and 1 - c says so.
* calibrated labels: -.0005. At taste 2 they lost .0006 to .0011.
* nearest positive and top-k by CVR, hard labels: -.006, with wide intervals.
* ESCM2-DR: -.01. DCMT: -.005. NISE: -.002.

"Helps" is a gain of at least .003 whose interval excludes 0; "level" an interval within +-.003. So
no recipe is expected to help. It would change the answer if one did at two selections of three.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.labels.known_truth_command import add_arguments, run_cells, write_table
from pipelines.cli import console as consoles
from pipelines.cli.console import Console
from serving.common.command_line import command_parser

COMMAND = "benchmarks.labels.known_taste"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser(COMMAND, __doc__)
    parser.add_argument("step", choices=["run", "table"])
    add_arguments(parser, "known_taste")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        if given.step == "run":
            return run_cells(given, console, "simulated", {})
        title = f"The question where taste is known: {given.name}"
        return write_table(given, console, COMMAND, title)

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
