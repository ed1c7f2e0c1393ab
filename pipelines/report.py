"""Writes a run's report: one HTML page that opens anywhere, without a network.

    python -m pipelines.report --run RUN [--data DIR] [--compare RUN ...] [--out FILE]

Without --data the page looks for the prepared data where the run was trained; without any, it holds
what the run's own files say. Runs given with --compare are scored on the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import tensorflow as tf

import idefn_tf
from idefn_tf._files import write_text
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.folder_owner import one_owner
from pipelines.experiment.run_folder import Run
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared
from pipelines.reports.material import Material, find_data, gather
from pipelines.reports.page import number, page, tiles
from pipelines.reports.sections import (
    by_space,
    comparison,
    data_card,
    delays,
    embedding,
    gain,
    history_section,
    importance,
    learning,
    loss_rows,
    pseudo_labels,
    reliability,
    run_settings,
    scores,
    slices,
    stream_curves,
    transport_plan,
)
from pipelines.reports.train_batch import draw_batch

#: The report's name in a run's folder.
REPORT = "report.html"


@one_owner("report", "run_dir")
def report(
    run_dir: str | Path,
    console: Console,
    *,
    data: str | Path | Prepared | None = None,
    compare: Sequence[str | Path] = (),
    out: str | Path | None = None,
    part: str | None = None,
    seed: int = 0,
) -> Path:
    """Writes the report of a finished run.

    Args:
        run_dir: the run's folder.
        console: says what is done.
        data: prepared data to score; by default those that the run was trained on.
        compare: runs to stand beside it.
        out: the file; by default report.html in the run's folder.
        part: the part to score; by default test.
        seed: of the bootstrap and of the batch whose plan is shown.

    Returns:
        The page's path.

    Raises:
        ValueError: if a folder is no run, the run is not finished, or the part is not there.
    """
    run = Run.open(run_dir)
    others = [Run.open(path) for path in compare if Path(path).resolve() != run.root.resolve()]
    prepared = Prepared.open(data) if data is not None else find_data(run)
    console.reading("run", run.root)
    if prepared is None:
        console.warn(
            f"no prepared data found for {run.root}: the page will hold what the run's files say; "
            "give --data for curves, slices and the plan"
        )
    else:
        console.reading("prepared data", prepared.place)
    material = gather(run, prepared, others, part, seed)
    console.step(f"draws the report on {material.part}")
    text = render(material)
    path = run.root / REPORT if out is None else on_disk(out, "--out")
    write_text(path, text)
    console.wrote(path, f"({len(text) / 1e6:.1f} MB)")
    return path


def render(material: Material) -> str:
    """Returns the page."""
    batch = draw_batch(material)
    found = [
        by_space.section(material),
        comparison.section(material),
        data_card.section(material),
        delays.section(material),
        stream_curves.section(material),
        loss_rows.section(material, batch),
        learning.section(material),
        reliability.section(material),
        scores.section(material),
        gain.section(material),
        pseudo_labels.section(material),
        transport_plan.section(material, batch),
        embedding.section(material, batch),
        history_section.section(material),
        importance.section(material),
        slices.section(material),
        run_settings.section(material),
    ]
    sections = [section for section in found if section is not None]
    main = material.main
    dataset = main.card.get("dataset", main.schema.name)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return page(
        f"{main.name} on {dataset}",
        _lead(material),
        sections,
        f"idefn_tf {idefn_tf.__version__}, {made}. This file needs no network.",
    )


def _lead(material: Material) -> list[str]:
    main = material.main
    lead = [f"<p>Report of the run <code>{escape(main.run.root.name)}</code>.</p>"]
    if main.foreign:
        lead.append(
            '<p class="note">The data scored here have another fingerprint than those that the run '
            "was trained on, so its metrics were computed anew.</p>"
        )
    if material.rows is not None and material.rows.thinned:
        lead.append(
            f'<p class="note">Charts are drawn from {len(material.rows):,} rows, taken evenly from '
            "the part; the metrics are of all its rows.</p>"
        )
    entries = []
    for space in material.spaces:
        value = main.metrics[material.part][space].get("cvr_auc")
        bounds = main.interval(space, "cvr_auc")
        small = f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else ""
        entries.append((f"CVR AUC, {space}", number(value), small))
    lead.append(tiles(entries))
    return lead


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("report", __doc__)
    parser.add_argument("--run", required=True, help="a finished run's folder")
    parser.add_argument("--data", help="prepared data (default: those it was trained on)")
    parser.add_argument("--compare", nargs="+", default=[], metavar="RUN", help="runs beside it")
    parser.add_argument("--out", metavar="FILE", help="the page (default: RUN/report.html)")
    parser.add_argument("--part", help="the part to score (default: test)")
    parser.add_argument("--seed", type=int, default=0, help="of bootstrap and batch")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    # every run's model is traced anew, which is no sign of a mistake here
    tf.get_logger().setLevel("ERROR")

    def job() -> None:
        report(
            given.run,
            console,
            data=given.data,
            compare=given.compare,
            out=given.out,
            part=given.part,
            seed=given.seed,
        )

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
