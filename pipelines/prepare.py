"""From raw logs to prepared Parquet, vocabularies and a data card.

``python -m pipelines.prepare kuairand-pure --raw DIR --out DIR``
``python -m pipelines.prepare ali-ccp --raw DIR --out DIR``
``python -m pipelines.prepare simulated-funnel --out DIR --exposures 120000 --preset kuai``
``python -m pipelines.prepare simulated-funnel --schema schemas/simulated_funnel_delay.yaml
--out DIR --delay mixture --as-of 2024-03-10``
``python -m pipelines.prepare table --raw FILE --schema schema.yaml --out DIR``
``python -m pipelines.prepare table --raw NEW --base DIR --out DIR2``  (a later day)
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from idefn_tf.schema import Schema
from pipelines.cli.arguments import add_quiet, job_parser
from pipelines.cli.console import Console, run_job
from pipelines.cli.folder_owner import owned
from pipelines.datasets.ali_ccp import ali_ccp
from pipelines.datasets.kuairand_pure import KUAIRAND_PURE
from pipelines.datasets.registry import DATASETS, Settings, prepare, prepare_rows
from pipelines.datasets.simulated_funnel import simulated_funnel
from pipelines.datasets.simulated_funnel.delay_law import LAWS
from pipelines.datasets.simulated_funnel.funnel_world import PRESETS, Options
from pipelines.datasets.simulated_funnel.simulated_funnel import SIMULATED_FUNNEL
from pipelines.datasets.table.table import TABLE
from pipelines.preparation import attribution_window
from pipelines.preparation.prepared_folder import Prepared, refuse_foreign
from pipelines.preparation.split import parse

__all__ = ["DATASETS", "Settings", "main", "prepare", "prepare_rows"]


def _parser() -> argparse.ArgumentParser:
    parser = job_parser("prepare", __doc__, quiet=False)
    commands = parser.add_subparsers(dest="dataset", required=True)
    kuairand = commands.add_parser(
        KUAIRAND_PURE.command, help="the official files, or tables of the same form"
    )
    kuairand.add_argument("--raw", type=Path, required=True, help="folder with the raw files")
    kuairand.add_argument(
        "--logs",
        choices=["standard", "random", "all"],
        help="which logs (default: standard where there is one)",
    )
    funnel = commands.add_parser(SIMULATED_FUNNEL.command, help="simulate exposures")
    funnel.add_argument("--raw", type=Path, help="raw folder to simulate into (default: OUT_raw)")
    meanings = _meanings(Options)
    for field in fields(Options):
        meaning = meanings.get(field.name, "")
        funnel.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            choices={"preset": sorted(PRESETS), "delay": LAWS}.get(field.name),
            help=meaning + ("" if "by default" in meaning else f" (default: {field.default})"),
        )
    ali = commands.add_parser(ali_ccp.ALI_CCP.command, help="the four raw files")
    ali.add_argument("--raw", type=Path, required=True, help="folder with the raw files")
    for name, default, what in (
        ("validation-share", ali_ccp.VALIDATION_SHARE, "share of the train rows"),
        ("malformed-share", ali_ccp.MALFORMED_SHARE, "malformed lines tolerated, of each file"),
    ):
        ali.add_argument(f"--{name}", type=float, default=default, help=f"{what} ({default:g})")
    ali.add_argument("--seed", type=int, default=ali_ccp.SEED, help="draws other validation rows")
    table = commands.add_parser(TABLE.command, help="your own exposures, CSV or Parquet")
    table.add_argument("--raw", type=Path, required=True, help="a file, or a folder of files")
    for command in (kuairand, ali, funnel, table):
        command.add_argument("--out", type=Path, required=True, help="prepared folder to write")
        command.add_argument("--schema", type=Path, help="a schema instead of the shipped one")
        command.add_argument(
            "--split", default="auto", help="auto, or train=FIRST..LAST,validation=...,test=..."
        )
        command.add_argument(
            "--base", help="an earlier prepared folder (or s3://) whose vocabularies are extended"
        )
        command.add_argument(
            "--as-of", metavar="TIME", help="what was known then (default: when the log ends)"
        )
        command.add_argument(
            "--events",
            action="append",
            default=[],
            metavar="PATH",
            help="earlier exposures that history looks back on: a prepared folder or files; again",
        )
        command.add_argument(
            "--part-rows",
            type=int,
            default=Settings.part_rows,
            help=f"rows in each Parquet file that is written (default: {Settings.part_rows:,})",
        )
        command.add_argument(
            "--slice-rows",
            type=int,
            default=Settings.slice_rows,
            help="rows sorted at a time; fewer take less memory, the rows are the same "
            f"(default: {Settings.slice_rows:,})",
        )
        command.add_argument("--memory", default=Settings.memory, help="the engine's memory")
        command.add_argument("--threads", type=int, help="the engine's threads (default: all)")
        command.add_argument(
            "--engine", default=Settings.engine, help="duckdb, spark or spark://HOST:PORT"
        )
        command.add_argument(
            "--spark-master",
            help="a cluster's address for --engine spark, such as spark://HOST:PORT",
        )
        add_quiet(command)
    return parser


def _meanings(record: type) -> dict[str, str]:
    """Returns what a record's docstring says of each attribute, without the full stop."""
    said = (record.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", said, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".").replace("%", "%%") for name, text in found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0; 2 after an error of the user's; 130 after an interrupt.
    """
    given = _parser().parse_args(arguments)
    console = Console(quiet=given.quiet)
    with ExitStack() as held:
        return run_job(lambda: _run(given, console, held), console)


def _run(given: argparse.Namespace, console: Console, held: ExitStack) -> None:
    name = given.dataset.replace("-", "_")
    raw, options = given.raw, {}
    schema = Schema.load(given.schema) if given.schema else None
    split = parse(given.split)
    if given.spark_master is not None and given.engine not in ("spark", Settings.engine):
        raise ValueError(
            f"--spark-master: goes with --engine spark, received --engine {given.engine}"
        )
    engine = given.spark_master or given.engine
    settings = Settings(given.part_rows, given.memory, given.threads, engine, given.slice_rows)
    base = Prepared.open(given.base) if given.base else None
    as_of = None
    if given.as_of is not None:
        named = schema or (base.schema if base else None)
        unit, zone = (named.labels.time_unit, named.labels.time_zone) if named else ("ms", "UTC")
        as_of = attribution_window.read_time(given.as_of, unit, zone)
    if name == "simulated_funnel":
        refuse_foreign(given.out)
        raw = raw or given.out.with_name(f"{given.out.name}_raw")
        chosen = Options(**{field.name: getattr(given, field.name) for field in fields(Options)})
        kept = schema or (base.schema if base else None)
        if chosen.law and not (kept and kept.labels.click_time and kept.labels.conversion_time):
            console.warn(
                "--delay: the schema names no labels.click_time and labels.conversion_time, so the "
                "times are dropped and nothing can learn from delays; "
                "--schema schemas/simulated_funnel_delay.yaml keeps them"
            )
        held.enter_context(owned(given.out, "prepare"))
        held.enter_context(owned(raw, "prepare", "--raw"))
        simulated_funnel.simulate(raw, chosen, console)
    elif name == "ali_ccp":
        chosen_options = ("validation_share", "malformed_share", "seed")
        options = {option: getattr(given, option) for option in chosen_options}
    elif name == "kuairand_pure":
        options = {"logs": given.logs}
    prepare(
        name, raw, given.out, schema=schema, options=options, split=split,
        base=base, as_of=as_of, events=given.events, settings=settings, console=console,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
