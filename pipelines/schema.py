"""Proposes a schema for your own table of exposures, and says why.

    python -m pipelines.schema infer FILE --click COLUMN --conversion COLUMN [--out schema.yaml]

FILE is CSV or Parquet (or a folder of either): one row an exposure, clicked or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from idefn_tf.schema import Schema
from pipelines.cli import console as consoles
from pipelines.cli.arguments import add_quiet, job_parser
from pipelines.cli.console import Console
from pipelines.datasets.registry import DATASETS
from pipelines.schema_inference import proposal_yaml
from pipelines.schema_inference.proposal import Proposal, propose
from pipelines.schema_inference.table_sample import SAMPLE_ROWS, read_sample


def infer(
    source: str | Path,
    out: str | Path,
    console: Console,
    *,
    click: str,
    conversion: str,
    time: str | None = None,
    user: str | None = None,
    item: str | None = None,
    rows: int = SAMPLE_ROWS,
) -> Proposal:
    """Proposes a schema from a table and writes it.

    Args:
        source: the table's file or folder.
        out: the schema's file.
        console: says what is done, and shows every guess.
        click: the click column.
        conversion: the conversion column.
        time: the column with the time of the exposure; looked for by default.
        user: the column that identifies the user; looked for by default.
        item: the column that identifies the item; looked for by default.
        rows: rows looked at, from the beginning.

    Returns:
        The proposal.

    Raises:
        ValueError: if the file cannot be read, a column is not there, or a label is none.
    """
    path = Path(out)
    if path.exists():
        raise ValueError(f"--out: {path} exists; choose another file, or remove it")
    console.reading("exposures", source)
    table = read_sample(source, rows)
    stem = Path(source).stem
    name = f"{stem}_table" if stem in DATASETS else stem  # a reader is found by the schema's name
    proposal = propose(table, click, conversion, time, user, name, item)
    proposal.schema()  # what is written must load
    show(proposal, console)
    proposal_yaml.write(proposal, str(source), path)
    console.wrote(path, "(read the reasons, correct what is wrong)")
    name = proposal.name
    console.note(
        "next, everything up to a served model: python -m pipelines.run "
        f"--raw {quote(str(source))} --schema {quote(str(path))} --out runs/{name}"
    )
    console.note(
        f"or step by step: python -m pipelines.prepare table --raw {quote(str(source))} "
        f"--schema {quote(str(path))} "
        f"--out data/{name}; python -m pipelines.train "
        "--config pipelines/configs/table/all_negative.yaml "
        f"--data data/{name} --out runs/{name}"
    )
    return proposal


def show(proposal: Proposal, console: Console) -> None:
    """Prints every guess with its reason, and the warnings."""
    console.table(
        f"{proposal.name}: guesses from {proposal.rows:,} rows",
        ("column", "role", "as", "because"),
        [(g.column, g.role, g.what, g.why) for g in proposal.guesses],
    )
    for guess in proposal.guesses:
        if guess.warning:
            console.warn(f"{guess.column}: {guess.warning}")
    for warning in proposal.warnings:
        console.warn(warning)


def list_features(path: str | Path, console: Console) -> Schema:
    """Checks a schema and prints its features, those that history makes among them.

    Raises:
        ValueError: naming file, line, key and rule, for anything wrong in it.
    """
    schema = Schema.load(path)
    rows = [
        (
            feature.name,
            feature.side,
            feature.kind,
            feature.dtype
            if not feature.multi_valued
            else f"{feature.dtype} [{feature.max_length}]",
            "history" if feature.name in schema.generated else feature.source,
        )
        for feature in schema.features
    ]
    columns = ("feature", "side", "kind", "values", "from")
    console.table(f"{schema.name}: {len(rows)} features", columns, rows)
    return schema


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("schema", __doc__, quiet=False)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("infer", help="propose a schema from a table")
    command.add_argument("file", help="CSV or Parquet file, or a folder of either")
    command.add_argument("--click", required=True, metavar="COLUMN", help="0 or 1: was it clicked")
    command.add_argument(
        "--conversion", required=True, metavar="COLUMN", help="0 or 1: did it convert"
    )
    command.add_argument("--time", metavar="COLUMN", help="the exposure's time (default: found)")
    command.add_argument("--user", metavar="COLUMN", help="the user's id (default: found)")
    command.add_argument("--item", metavar="COLUMN", help="the item's id (default: found)")
    command.add_argument("--rows", type=int, default=SAMPLE_ROWS, help="rows to look at")
    command.add_argument("--out", default="schema.yaml", help="file to write (schema.yaml)")
    add_quiet(command)
    shown = commands.add_parser("show", help="check a schema, and list its features")
    shown.add_argument("file", help="schema.yaml")
    add_quiet(shown)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> None:
        if given.command == "show":
            list_features(given.file, console)
            return
        infer(
            given.file,
            given.out,
            console,
            click=given.click,
            conversion=given.conversion,
            time=given.time,
            user=given.user,
            item=given.item,
            rows=given.rows,
        )

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
