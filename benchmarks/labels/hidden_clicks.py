"""The question where the truth is known on a real log: clicked rows, half their clicks hidden.

    python -m benchmarks.labels.hidden_clicks worlds --data WORK/data/both --worlds WORLDS
    python -m benchmarks.labels.hidden_clicks run --worlds WORLDS --out OUT --seeds 10
    python -m benchmarks.labels.hidden_clicks table --worlds WORLDS --out OUT

Of every clicked row of a log it is known whether it converts. A world is these rows alone, with a
known share shown as unclicked and unconverted, in training, validation and test: the same of every
row, "uniform", or with a chance proportional to 1 - click probability, "propensity". What each row
would bring stands in the reports, and the truth relabelled learns from it.

`--data` is the folder `both` that ``benchmarks.history.kuairand_study`` makes in its step
``prepare``; settings are that study's, alpha .8 where a row has one. The click probability is that
of one AllNegative trained on the whole folder. History is left as it was: it counts hidden clicks,
for every row of the table alike. Rows: `benchmarks.labels.known_truth`.

Expected, written before any training on these worlds, as differences to AllNegative of CVR AUC
against the true like of all clicked test rows (11,567 rows, 325 likes):

| row | uniform | propensity |
|---|---:|---:|
| the truth relabelled | +.004 | +.005 |
| IdeFN with one mass budget, whatever rows are compared by | within .001 | within .001 |
| prices by propensity | within .001, behind one budget | within .001, ahead of it by .0003 |
| calibrated labels | within .002 | within .002 |
| nearest positive, top-k by CVR | -.005 | -.005 |
| AllNegative, alpha .9 | 0 | +.001 |
| ESCM2-DR | -.01 | -.01 |
| DCMT, NISE | -.005 | -.005 |

Why: hidden at random, unclicked rows resemble clicked ones and AllNegative ranks as the truth does,
from half the likes. A plan knows no more than the features do, so it cannot bring back the other
half. Hidden by propensity, AllNegative bends scores towards likely clicks; 1 - c bends back. The
ceiling's gain must be .003 at least, or the world tells nothing of a recipe. "Helps" is a gain of
at least .003 whose interval excludes 0; "level" an interval within +-.003.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.history import kuairand_study
from benchmarks.labels.known_truth_command import add_arguments, run_cells, write_table
from idefn_tf._files import write_json
from idefn_tf.data.event_streams import FOLDER
from pipelines.cli import console as consoles
from pipelines.cli.console import Console
from pipelines.experiment.evaluation import predict
from pipelines.experiment.hidden_clicks import WAYS, Way, choose_hidden_clicks
from pipelines.preparation.card import listed
from pipelines.preparation.prepared_folder import (
    CARD,
    PARTS,
    SCHEMA,
    VOCABULARIES,
    Prepared,
    replacing,
)
from pipelines.preparation.row_files import Unfinished, write_rows
from pipelines.train import train
from serving.common.command_line import command_parser

COMMAND = "benchmarks.labels.hidden_clicks"
#: What is hidden of the clicks, and the seed of the draw and of the propensity's model.
SHARE, SEED = 0.5, 4000


def settings() -> dict[str, Any]:
    """Returns what every row changes, by dotted key: the history study's settings."""
    groups: Mapping[str, Mapping[str, Any]] = kuairand_study.recipes()["settings"]
    return {f"{group}.{key}": value for group, of in groups.items() for key, value in of.items()}


def click_probabilities(data: Prepared, console: Console) -> dict[str, np.ndarray]:
    """Returns every row's click probability by part, by one AllNegative of the whole folder."""
    console.step("the propensity's model")
    cell = kuairand_study.Cell("both", "all_negative", "mean", SEED)
    with tempfile.TemporaryDirectory() as folder:
        config = kuairand_study.config_of(cell)
        done = train(config, data, Path(folder) / "run", Console(quiet=True), evaluate=False)
        model = done.load_model()
    scores = {part: predict(model, data.schema, data.table(part)) for part in data.parts}
    return {part: np.ravel(found["ctr"]) for part, found in scores.items()}


def hide(
    rows: pa.Table, ctr: np.ndarray, way: Way, share: float, seed: int
) -> tuple[pa.Table, pa.Table]:
    """Keeps the clicked rows and hides a share of their clicks.

    Args:
        rows: with `row_id`, `click` and `conversion`.
        ctr: click probability of every row, read by "propensity" alone.
        way: how clicks are hidden.
        share: of the clicks, in (0, 1).
        seed: of the draw.

    Returns:
        The rows as a model sees them, and their report: what every row would bring, and as `probe`
        the hidden conversions.
    """
    clicked = np.asarray(rows["click"]) == 1
    kept = rows.filter(pa.array(clicked))
    truth = np.asarray(kept["conversion"])
    hidden = choose_hidden_clicks(np.ones(len(truth)), ctr[clicked], share, way, seed)
    for name, values in {"click": ~hidden, "conversion": np.where(hidden, 0, truth)}.items():
        at = kept.schema.get_field_index(name)
        kept = kept.set_column(at, name, pa.array(values).cast(kept.schema.field(at).type))
    report = {
        "row_id": kept["row_id"],
        "conversion_raw": pa.array(truth),
        "probe": pa.array((hidden & (truth == 1)).astype(np.int8)),
        "oracle_conversion": pa.array(truth),
    }
    return kept, pa.table(report)


def write_world(
    data: Prepared, out: Path, way: Way, ctr: Mapping[str, np.ndarray], share: float = SHARE
) -> None:
    """Writes a world as a prepared folder; what rows share with the log's folder is copied."""
    card = data.card
    splits: dict[str, dict[str, float]] = {}
    place = data.root
    with replacing(out) as building:
        for part in (name for name in PARTS if name in data.parts):
            # as they are stored: sequences stay places in the streams, which are copied
            table = pa.concat_tables(pq.read_table(file) for file in data.files(part))
            rows, report = hide(table, ctr[part], way, share, SEED)
            both = rows.combine_chunks()
            for name in report.column_names[1:]:
                both = both.append_column(name, report[name])
            whole = [Unfinished(part, batch, lambda batch: batch) for batch in both.to_batches()]
            written = write_rows(building, whole, rows.schema, report.schema, part_rows=250_000)
            count = sum(written)
            clicks, likes = (int(np.sum(np.asarray(rows[n]))) for n in ("click", "conversion"))
            splits[part] = {"rows": count, "clicks": clicks, "conversions": likes}
            splits[part] |= {"ctr": clicks / count, "cvr": likes / clicks, "ctcvr": likes / count}
            splits[part] |= {"conversions_raw": int(np.sum(np.asarray(report["conversion_raw"])))}
        for name in (SCHEMA, VOCABULARIES, FOLDER):
            source = place / name
            if source.is_dir():
                shutil.copytree(source, building / name)
            elif source.exists():
                shutil.copy(source, building / name)
        told = {"way": way, "share": share, "seed": SEED}
        mark = f"{card['fingerprint']}-{way}-{share}"
        card |= {"splits": splits, "hidden_clicks": told, "fingerprint": mark}
        write_json(building / CARD, {**card, "files": listed(building)})


def make_worlds(data: Prepared, worlds: Path, console: Console) -> None:
    """Writes a world for each way of hiding, unless it is there."""
    missing = [way for way in WAYS if not Prepared.is_at(worlds / way)]
    ctr = click_probabilities(data, console) if missing else {}
    for way in missing:
        worlds.mkdir(parents=True, exist_ok=True)
        write_world(data, worlds / way, way, ctr)
        console.wrote(worlds / way)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser(COMMAND, __doc__)
    parser.add_argument("step", choices=["worlds", "run", "table"])
    parser.add_argument("--data", type=Path, help="of worlds: the prepared folder of the whole log")
    add_arguments(parser, "hidden_clicks_kuairand_slice")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        if given.step == "worlds":
            if given.data is None:
                raise ValueError("--data: must be given with worlds, received none; name a folder")
            make_worlds(Prepared.open(given.data), given.worlds, console)
            return 0
        if given.step == "run":
            return run_cells(given, console, "kuairand", settings())
        title = "The question on clicked rows of KuaiRand's slice, half of their clicks hidden"
        return write_table(given, console, COMMAND, title)

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
