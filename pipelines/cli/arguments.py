"""Arguments that jobs share: the head of a job's parser, --set and --quiet."""

from __future__ import annotations

import argparse

from serving.common.command_line import command_parser


def job_parser(
    name: str, description: str | None, overrides: str = "", quiet: bool = True
) -> argparse.ArgumentParser:
    """Returns a job's parser.

    Args:
        name: the job, such as "train".
        description: the module's docstring.
        overrides: what --set does; the job has none without it.
        quiet: whether --quiet is the job's, not its subcommands'.
    """
    parser = command_parser(f"pipelines.{name}", description)
    if overrides:
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help=overrides
        )
    if quiet:
        add_quiet(parser)
    return parser


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Gives a parser, or a subcommand's, the option --quiet."""
    parser.add_argument("--quiet", action="store_true", help="say only warnings and errors")
