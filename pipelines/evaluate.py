"""Evaluates a run on prepared data, a file of exposures, or a raw folder it has never seen.

python -m pipelines.evaluate --run RUN --data FILE_OR_DIR [--part test] [--json FILE|-]
python -m pipelines.evaluate --run RUN --raw DIR [--json FILE|-]
python -m pipelines.evaluate --run RUN --data FILE_OR_DIR --policy top:0.1

With --policy the rows also tell what a policy over the run's scores would earn, if they say with
which probability they were shown (labels.exposure_probability): docs/off-policy.md.

A run whose log was down-sampled (labels.negative_keep_rate) takes other logs for down-sampled, too;
--whole-log says that one holds every row.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf._files import write_json
from idefn_tf.data import read_table
from idefn_tf.data.arrow_to_numpy import label_values
from idefn_tf.evaluation.spaces import HEADS
from idefn_tf.models import EntireSpaceModel
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.metric_table import show_metrics
from pipelines.cli.policy_table import show_policy
from pipelines.datasets.registry import prepare_rows
from pipelines.experiment.asked_policy import DEFAULT, AskedPolicy, parse_policy, with_probability
from pipelines.experiment.evaluation import Metrics, evaluate_part, evaluate_table
from pipelines.experiment.evaluation_notes import say_seen, say_weights
from pipelines.experiment.event_sources import with_history
from pipelines.experiment.run_folder import Run
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared


def evaluate_data(
    run: Run,
    data: str | Path,
    parts: Sequence[str],
    console: Console,
    whole_log: bool = False,
    events: Sequence[str] = (),
    asked: AskedPolicy | None = None,
) -> dict[str, Metrics]:
    """Evaluates prepared parts, or one file or folder of exposures (called "all").

    A file's history is computed from `events` and its own rows, where events are given. What is
    asked of a policy stands beside the spaces as "policy".
    """
    console.reading("exposures", data)
    whole = Prepared.open(data) if Prepared.is_at(data) else None
    model = run.load_model()
    if whole is not None and events:
        raise ValueError(
            f"--events: must stand beside --raw or a file, received {data}, a prepared folder, "
            "which holds its history;\nleave it out"
        )
    if whole is not None:
        wanted = parts or [p for p in ("test", "all") if p in whole.parts]
        missing = [p for p in wanted if p not in whole.parts]
        if missing or not wanted:
            raise ValueError(
                f"part: must be one of {list(whole.parts)} of {data}, received {missing}"
            )
        return _evaluate_parts(run, model, whole, wanted, console, whole_log, asked)
    if parts:
        raise ValueError(f"part: {data} is not a prepared folder, so it has no parts; leave it out")
    schema = run.schema()
    table = read_table(data, schema)
    if events:
        table = with_history(run, table, events)
    click, conversion = schema.labels.resolve(table.column_names)
    report: dict[str, np.ndarray] = {}
    if "conversion_raw" in table.column_names:
        report["conversion_raw"] = label_values(schema, table, "conversion_raw")
    elif (click, conversion) == (schema.labels.click, schema.labels.conversion):  # a raw table
        report["conversion_raw"] = label_values(
            schema, table, conversion
        )  # a raw table shows it itself
    if "oracle_conversion" in table.column_names:
        report["oracle_conversion"] = label_values(schema, table, "oracle_conversion")
    counts = table.num_rows, int(label_values(schema, table, click).sum())
    say_weights(run.card(), schema.labels.negative_keep_rate, counts, whole_log, console)
    found = evaluate_table(model, schema, table, report, whole_log)
    if asked is not None:
        found["policy"] = asked.values(model, schema, table, table)
    return {"all": found}


def evaluate_raw(
    run: Run,
    raw: str | Path,
    console: Console,
    whole_log: bool = False,
    events: Sequence[str] = (),
    asked: AskedPolicy | None = None,
) -> dict[str, Metrics]:
    """Prepares a raw folder with the run's schema and vocabularies and evaluates all its rows."""
    console.reading("raw logs", raw)
    with tempfile.TemporaryDirectory(prefix="idefn-") as folder:
        prepared = prepare_rows(
            with_probability(run.schema(), None if asked is None else asked.probability),
            raw,
            Path(folder) / "rows",
            vocabularies=run.vocabularies,
            events=events,
        )
        model = run.load_model()
        return _evaluate_parts(run, model, prepared, prepared.parts, console, whole_log, asked)


def _evaluate_parts(
    run: Run,
    model: EntireSpaceModel,
    data: Prepared,
    parts: Sequence[str],
    console: Console,
    whole_log: bool,
    asked: AskedPolicy | None = None,
) -> dict[str, Metrics]:
    """Evaluates parts, and says how their rows count and which of them training has seen."""
    card = run.card()
    for part in parts:
        counts = data.card["splits"][part]
        keep_rate = data.schema.labels.negative_keep_rate
        say_weights(card, keep_rate, (counts["rows"], counts["clicks"]), whole_log, console)
        say_seen(card, data.card, part, console)
    found = {part: evaluate_part(model, data, part, whole_log) for part in parts}
    if asked is not None:
        for part, spaces in found.items():
            rows = data.table(part), data.report_table(part)
            spaces["policy"] = asked.values(model, data.schema, *rows)
    return found


def _asked(given: argparse.Namespace) -> AskedPolicy | None:
    """Reads what is asked of a policy; None without --policy."""
    if given.policy is not None:
        policy = parse_policy(given.policy, given.score)
        probability, candidates = given.exposure_probability, given.candidates
        return AskedPolicy(policy, probability, candidates, given.whole_log)
    for name in ("candidates", "exposure_probability"):
        if getattr(given, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{flag}: must stand beside --policy, received it alone;\nadd --policy {DEFAULT}"
            )
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("evaluate", __doc__)
    parser.add_argument("--run", required=True, help="a run's folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="prepared folder, or Parquet or CSV of exposures (or s3://)")
    source.add_argument("--raw", help="a folder of raw logs and side tables")
    parser.add_argument(
        "--events",
        action="append",
        default=[],
        metavar="PATH",
        help="with --raw or a file: earlier exposures that history looks back on; again",
    )
    parser.add_argument(
        "--part", action="append", default=[], help="part of a prepared folder (default: test)"
    )
    parser.add_argument(
        "--whole-log",
        action="store_true",
        help="the rows are a log that nothing was taken out of, where the run's was down-sampled",
    )
    parser.add_argument(
        "--policy",
        nargs="?",
        const=DEFAULT,
        metavar="POLICY",
        help=f"values a policy: top:Q shows the top share of each day's rows ({DEFAULT} by "
        "default); softmax:T or argmax choose among --candidates",
    )
    parser.add_argument("--score", choices=HEADS, default="ctcvr", help="what the policy ranks by")
    parser.add_argument(
        "--candidates", metavar="FILE", help="items that could be shown, one a row, for softmax"
    )
    parser.add_argument(
        "--exposure-probability",
        metavar="COLUMN|P",
        help="with which rows were shown, in place of the schema's",
    )
    parser.add_argument("--json", metavar="FILE", help="writes the metrics; - for standard output")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        asked = _asked(given)
        run = Run.open(given.run)
        if given.raw is not None:
            whole, events = given.whole_log, given.events
            metrics: dict[str, Any] = evaluate_raw(run, given.raw, console, whole, events, asked)
        else:
            metrics = evaluate_data(
                run, given.data, given.part, console, given.whole_log, given.events, asked
            )
        if given.json == "-":
            json.dump(metrics, sys.stdout, indent=1)
            sys.stdout.write("\n")
        elif given.json:
            write_json(on_disk(given.json, "--json"), metrics)
            console.wrote(given.json)
        values = {part: found.pop("policy") for part, found in metrics.items() if asked}
        show_metrics(metrics, console, f"{run.root}: {run.config().method}")
        show_policy(values, console)
        return 0

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
