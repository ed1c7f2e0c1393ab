"""Exports a run's model as the next version of a served model.

    python -m pipelines.export --run RUN --model-base runs/demo/models/cvr

The version is a SavedModel from raw features to ctr, cvr and ctcvr. Before it appears it is
replayed against Python, its warm-up requests are run, and, where --rows gives labelled rows and a
version is there already, the promotion gate compares the two: a version that is worse, or whose
scores moved too far, is refused unless --force.

    python -m pipelines.export --run RUN --model-base models/cvr --with-history [--events PATH]

puts history as of the newest event into the version: requests then hold ids alone.

    python -m pipelines.export --run RUN --model-base models/cvr --format onnx --triton

writes VERSION/model.onnx with the same inputs and outputs, and the config.pbtxt of Triton.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idefn_tf.evaluation.mature_rows import said
from idefn_tf.export import Gate, export_model, list_versions, prune
from idefn_tf.export.gate import require
from idefn_tf.history.snapshot import Snapshot
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema, strict_yaml
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.experiment.history_snapshot import SnapshotOptions, snapshot_of
from pipelines.experiment.run_folder import Run
from pipelines.experiment.stale_history import both_ways, sentence
from pipelines.experiment.version_format import VersionFormat, add_options
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import PARTS, Prepared
from pipelines.reports.material import find_data
from serving.common.models_config import ModelsConfig


@dataclass(frozen=True)
class Options:
    """How a version is written and compared, and which ones stay.

    Attributes:
        gate: limits of the promotion gate; None turns it off.
        force: publish in spite of the gate.
        keep: versions to keep, newest first; None removes none.
        models_config: the server's file; what it labels or pins is what the gate compares with and
            what is never removed. Default: models.config beside the model's folder, if it exists.
        label: the label whose version counts as served; without it, the newest version.
        format: how it is written.
    """

    gate: Gate | None = field(default_factory=Gate)
    force: bool = False
    keep: int | None = None
    models_config: str | Path | None = None
    label: str = "stable"
    format: VersionFormat = field(default_factory=VersionFormat)


def export(
    run_dir: str | Path,
    model_base: str | Path,
    console: Console,
    *,
    rows: str | Path | None = None,
    options: Options = Options(),
    history: SnapshotOptions | None = None,
    data: str | Path | None = None,
) -> Path:
    """Exports a run's selected model.

    Args:
        run_dir: a finished run.
        model_base: the served model's folder, `<model base>/<model name>`.
        console: says what is done.
        rows: labelled rows to replay and to compare on: a file, or a prepared folder, of which the
            validation part is taken.
        options: format, gate and clean-up.
        history: what of it to look up in the version; None puts none in.
        data: the run's prepared data, for its events; by default where it was trained.

    Returns:
        The version's path.

    Raises:
        ValueError: if the run is not finished, the exported scores differ from Python's, or the
            gate refuses.
    """
    run, base = Run.open(run_dir), on_disk(model_base, "--model-base")
    console.reading("run", run.root)
    model, schema = run.load_model(), run.schema()
    options.format.require(model.features)
    source = _source(rows)
    config = _models_config(base, options)
    details, snapshot = _details(run), None
    if history is not None:
        snapshot, details["snapshot"] = _snapshot(run, model, data, history, console)
    console.step(f"writes the {options.format.title} and replays rows against Python")
    path = export_model(
        model,
        schema,
        base,
        replay=source,
        calibrator=run.calibrator(),
        snapshot=snapshot,
        details=details,
        approve=_approval(schema, source, _served(base, config, options), options, console),
        format=options.format.name,
    )
    console.wrote(path, f"(version {path.name})")
    options.format.configure(path, console)
    if options.keep is not None:
        protect = config.protected_versions(base.resolve().name) if config else set()
        for number in prune(base, options.keep, protect):
            console.note(f"removed version {number}")
    return path


def _snapshot(
    run: Run,
    model: EntireSpaceModel,
    data: str | Path | None,
    history: SnapshotOptions,
    console: Console,
) -> tuple[Snapshot, dict[str, Any]]:
    schema = run.schema()
    prepared = Prepared.open(data) if data is not None else find_data(run)
    if prepared is not None:
        console.reading("events of", prepared.place)
    snapshot, about = snapshot_of(run, prepared, history)
    said = snapshot.describe(schema)
    out = f", {said['users_left_out']:,} users left out" if said["users_left_out"] else ""
    console.note(f"history as of {said['as_of']}, {said['bytes']:,} bytes{out}")
    if about.get("stale"):
        console.warn(
            f"history is {about['age_hours']:,.0f} hours old, older than refresh "
            f"{about['refresh']} made the run's features"
        )
        cost = None if prepared is None else both_ways(run, model, prepared, history)
        if cost is not None:
            about["both_ways"] = cost
            console.note(sentence(cost))
    return snapshot, about


def _source(rows: str | Path | None) -> Any:
    """Returns the data source meant by --rows."""
    if rows is None or not Prepared.is_at(rows):
        return rows
    data = Prepared.open(rows)
    part = next((p for p in ("validation", *PARTS) if p in data.parts), "validation")
    return data.files(part)


def _models_config(base: Path, options: Options) -> ModelsConfig | None:
    path = options.models_config or base.parent / "models.config"
    if options.models_config is None and not Path(path).is_file():
        return None
    config = ModelsConfig(path)
    if options.models_config is None and base.resolve().name not in config.models:
        return None
    config.model(base.resolve().name)
    return config


def _served(base: Path, config: ModelsConfig | None, options: Options) -> Path | None:
    """Returns the version that answers now, as far as can be told."""
    versions = list_versions(base)
    if config is not None:
        labels = dict(config.model(base.resolve().name).labels)
        if labels.get(options.label) in versions:
            return versions[labels[options.label]]
    return versions[max(versions)] if versions else None


def _approval(
    schema: Schema, rows: Any, served: Path | None, options: Options, console: Console
) -> Callable[[Path], Mapping[str, Any] | None] | None:
    """Returns the gate as a function of the built version; None where it has nothing to say."""
    gate = options.gate
    if gate is None or served is None:
        return None
    if rows is None:
        console.warn(f"no --rows: the gate cannot compare with version {served.name}")
        return None

    def approve(folder: Path) -> Mapping[str, Any]:
        report = gate.compare(folder, served, schema, rows)
        _show(report, console)
        if report["refusals"] and options.force:
            console.warn(f"published in spite of the gate: {'; '.join(report['refusals'])}")
            return {**report, "forced": True}
        require(report)
        return report

    return approve


def _show(report: Mapping[str, Any], console: Console) -> None:
    if report["open_rows"]:
        console.note(f"gate: {said(report['rows'], report['open_rows'])}")
    if "metric" not in report:
        return
    metric = report["metric"]
    lines = [[metric["name"], _cell(metric["served"]), _cell(metric["candidate"])]]
    for head, values in report["moved"].items():
        lines.append([f"{head}: PSI", "", f"{values['stability_index']:.4f}"])
        lines.append([f"{head}: mean, factor", "", f"{values['mean_ratio']:.4f}"])
    title = f"gate: {report['rows']:,} rows against version {report['served']}"
    console.table(title, ("", "served", "candidate"), lines)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _details(run: Run) -> dict[str, Any]:
    """Returns what the run knows for the model card."""
    found: dict[str, Any] = {"run": run.root.resolve().name}
    found |= {k: v for k, v in (("data", run.card()), ("metrics", run.metrics())) if v}
    found["config"] = strict_yaml.read(run.config_path).value
    return found


def _parser() -> argparse.ArgumentParser:
    made = job_parser("export", __doc__)
    made.add_argument("--run", required=True, help="a finished run's folder")
    made.add_argument("--model-base", required=True, help="the served model's folder")
    add_options(made)
    made.add_argument("--rows", help="labelled rows: a file, or a prepared folder (validation)")
    made.add_argument("--keep", type=int, help="keep this many of the newest versions")
    made.add_argument("--models-config", help="the server's file: never removes what it names")
    made.add_argument("--label", default=Options.label, help="whose version counts as served")
    past = made.add_argument_group("history")
    past.add_argument("--with-history", action="store_true", help="look history up in the version")
    past.add_argument("--data", help="the run's prepared data (default: where it was trained)")
    past.add_argument(
        "--events", action="append", default=[], metavar="PATH",
        help="further events: a prepared folder, or files of exposures; again",
    )  # fmt: skip
    past.add_argument(
        "--as-of", metavar="TIME", help="its moment (default: after the newest event)"
    )
    past.add_argument("--history-keys", metavar="FILE", help="ids of users to put in, one a line")
    past.add_argument("--min-events", type=int, default=0, help="of users to put in")
    past.add_argument("--allow-stale", action="store_true", help="older than the run's refresh")
    gate = made.add_argument_group("promotion gate")
    gate.add_argument("--gate", action=argparse.BooleanOptionalAction, default=True)
    gate.add_argument("--force", action="store_true", help="publish in spite of the gate")
    limits = Gate()
    gate.add_argument("--gate-metric", default=limits.metric, help="<space>/<metric>")
    gate.add_argument(
        "--gate-tolerance", type=float, default=limits.tolerance,
        help="how much worse the metric may be, as a share of the served version's",
    )  # fmt: skip
    gate.add_argument(
        "--gate-max-psi", type=float, default=limits.max_stability_index,
        help="how far a score's distribution may move",
    )  # fmt: skip
    gate.add_argument(
        "--whole-log", action="store_true", help="--rows were not down-sampled, training's log was"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = _parser().parse_args(arguments)
    console = Console(given.quiet)

    def job() -> None:
        gate = Gate(
            given.gate_metric, given.gate_tolerance, given.gate_max_psi, whole_log=given.whole_log
        )
        options = Options(
            gate=gate if given.gate else None,
            force=given.force,
            keep=given.keep,
            models_config=given.models_config,
            label=given.label,
            format=VersionFormat(given.format, given.triton),
        )
        history = SnapshotOptions(
            events=given.events,
            keys=given.history_keys,
            min_events=given.min_events,
            as_of=given.as_of,
            allow_stale=given.allow_stale,
        )
        if not given.with_history and (history != SnapshotOptions(events=[]) or given.data):
            raise ValueError(
                "--with-history: must be given for options of history to count, received none;\n"
                "add it, or leave out --data, --events, --as-of, --history-keys, --min-events and "
                "--allow-stale"
            )
        export(
            given.run,
            given.model_base,
            console,
            rows=given.rows,
            options=options,
            history=history if given.with_history else None,
            data=given.data,
        )

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
