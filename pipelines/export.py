"""Exports a run's model as the next version of a served model.

    python -m pipelines.export --run RUN --model-base runs/demo/models/cvr

The version is a SavedModel from raw features to ctr, cvr and ctcvr, replayed against Python before
it appears.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from idefn_tf.calibration import CALIBRATORS, Calibrator
from idefn_tf.export import export_model
from pipelines import console as consoles
from pipelines.console import Console
from pipelines.runs import Run


def export(
    run_dir: str | Path,
    model_base: str | Path,
    console: Console,
    *,
    rows: str | Path | None = None,
) -> Path:
    """Exports a run's selected model.

    Args:
        run_dir: a finished run.
        model_base: the served model's folder, `<model base>/<model name>`.
        console: says what is done.
        rows: prepared rows to replay, a file or a folder.

    Returns:
        The version's path.

    Raises:
        ValueError: if the run is not finished, or the exported scores differ from Python's.
    """
    run = Run.open(run_dir)
    console.reading("run", run.root)
    model, schema = run.load_model(), run.schema()
    console.step("writes the SavedModel and replays rows against Python")
    path = export_model(
        model, schema, model_base, replay=rows, calibrator=read_calibrator(run.root)
    )
    console.wrote(path, f"(version {path.name})")
    return path


def read_calibrator(run_dir: Path) -> Calibrator | None:
    """Reads a run's calibration.json, {"calibrator": name, "config": {...}}, where there is one."""
    path = run_dir / "calibration.json"
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8"))
    name = value.get("calibrator")
    if name not in CALIBRATORS:
        raise ValueError(
            f"{path}: calibrator must be one of {sorted(CALIBRATORS)}, received {name!r}"
        )
    return CALIBRATORS[name].from_config(value["config"])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", required=True, help="a finished run's folder")
    parser.add_argument("--model-base", required=True, help="the served model's folder")
    parser.add_argument("--rows", help="prepared rows to replay: a file or a folder")
    consoles.add_arguments(parser)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    return consoles.run_job(
        lambda: export(given.run, given.model_base, console, rows=given.rows) and 0, console
    )


if __name__ == "__main__":
    raise SystemExit(main())
