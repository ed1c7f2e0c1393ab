"""One head for every command line: its name, its description, and the options that jobs share."""

import importlib
import re
from pathlib import Path

import pytest

from pipelines.cli.arguments import add_quiet, job_parser

ROOT = Path(__file__).resolve().parents[3]
JOBS = sorted(path.stem for path in (ROOT / "pipelines").glob("*.py") if path.stem != "__init__")


def test_a_job_overrides_keys_in_the_order_given():
    parser = job_parser("train", "Trains.", "overrides a key")
    given = parser.parse_args(["--set", "a=1", "--quiet", "--set", "b=2"])
    assert (given.set, given.quiet) == (["a=1", "b=2"], True)
    assert parser.parse_args([]).set == []
    assert parser.prog == "python -m pipelines.train"


def test_a_job_without_a_config_overrides_nothing(capsys):
    with pytest.raises(SystemExit):
        job_parser("audit", "Audits.").parse_args(["--set", "a=1"])
    assert "unrecognized arguments: --set" in capsys.readouterr().err


def test_subcommands_may_have_quiet_themselves():
    parser = job_parser("prepare", "Prepares.", quiet=False)
    add_quiet(parser.add_subparsers(dest="command").add_parser("table"))
    assert parser.parse_args(["table", "--quiet"]).quiet is True


@pytest.mark.parametrize("job", JOBS)
def test_every_job_tells_its_name_and_what_it_does(job, capsys):
    module = importlib.import_module(f"pipelines.{job}")
    with pytest.raises(SystemExit) as left:
        module.main(["--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: python -m pipelines.{job} ")
    assert module.__doc__.strip().splitlines()[0] in told


def test_no_other_file_makes_a_parser():
    found = [
        str(path.relative_to(ROOT))
        for folder in ("idefn_tf", "pipelines", "serving", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(r"\bArgumentParser\(", path.read_text(encoding="utf-8"))
    ]
    assert found == ["serving/common/command_line.py"]
