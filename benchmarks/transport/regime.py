"""Maps the regimes of the transport: what can be labelled, and is it more than nearest positive?

    python -m benchmarks.transport.regime --data PREPARED --runs RUN [RUN ...] --name kuairand_slice

On representations of trained models (embeddings, and the CVR tower's last hidden layer) it solves
batches exactly, with the batch's positives alone and with a bank of earlier ones beside them, over
a range of kappa. What decides is kappa N_U / N_P, the unclicked rows that one positive may fill:

* ``argmax``, ``matched_fraction``, ``top_k``: unclicked rows that each rule labels;
* ``at_nearest``: share of the matched mass that goes to a positive's own nearest unclicked row;
* ``binding``: share of the matched mass in columns that are filled to the brim, so that some
  positive had to look further;
* ``overlap``: share of the top-k labels that nearest-positive would give too, at equal count. Where
  it is 1 the transport is nearest-positive matching by another name.

Nothing here looks at a label of an unclicked row. Writes benchmarks/results/regime_<name>.json,
.md and .png.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.common.machine import machine_facts
from benchmarks.transport.regime_plot import save_plot
from idefn_tf._files import write_json, write_text
from idefn_tf.data import to_arrays
from idefn_tf.transport import match, relabel, squared_euclidean
from pipelines.cli import console as consoles
from pipelines.cli.arguments import add_quiet
from pipelines.cli.console import Console
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared
from serving.common.command_line import command_parser

RESULTS = Path(__file__).resolve().parents[1] / "results" / "transport"
KAPPAS = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
BANKS = (0, 64, 512)
BATCH = 2048
#: A column this full has no room left.
FULL = 1 - 1e-6
REPRESENTATIONS = ("embeddings", "hidden", "hidden, normalised")


def regime(cost: np.ndarray, kappa: float) -> dict[str, float]:
    """Solves one problem exactly and says what each rule makes of the plan.

    Args:
        cost: [N_P, N_U].
        kappa: share of the unclicked rows that may be matched (R2).

    Returns:
        "ratio" (kappa N_U / N_P) and the numbers named above; shares are nan where nothing is
        matched or labelled.
    """
    rows, columns = cost.shape
    plan = match(cost, kappa=kappa, solver="exact")
    mass = plan.matrix.numpy()[:-1]
    fraction = plan.matched_fraction.numpy()
    matched = mass.sum()
    nearest = mass[np.arange(rows), cost.argmin(1)].sum()
    top = relabel.relabel(plan, "top_k").numpy() > 0.5
    near = np.zeros(columns, bool)
    near[np.argsort(cost.min(0), kind="stable")[: int(top.sum())]] = True
    return {
        "ratio": kappa * columns / rows,
        "argmax": float((relabel.relabel(plan, "argmax").numpy() > 0.5).sum()),
        "matched_fraction": float((relabel.relabel(plan, "matched_fraction").numpy() > 0.5).sum()),
        "top_k": float(top.sum()),
        "at_nearest": _share(nearest, matched),
        "binding": _share(mass[:, fraction >= FULL].sum(), matched),
        "overlap": _share(float((top & near).sum()), float(top.sum())),
    }


def batches(run: Run, data: Prepared, count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yields, by representation, positives' and unclicked rows' z of shuffled training batches.

    The bank holds the positives of rows outside the batch, in random order.
    """
    model = run.load_model()
    arrays = to_arrays(data.schema, data.table("train"))
    generator = np.random.default_rng(seed)
    positive = arrays["click"] * arrays["conversion"] == 1

    def represent(at: np.ndarray) -> dict[str, np.ndarray]:
        raw = {name: tf.constant(arrays[name][at]) for name in model.features.raw_names}
        outputs = model.forward(model.features(model.features.encode(raw)), training=False)
        hidden = outputs.hidden["cvr"]
        unit = tf.math.l2_normalize(hidden, axis=1)
        found = (outputs.z, hidden, unit)
        return {name: z.numpy() for name, z in zip(REPRESENTATIONS, found, strict=True)}

    for _ in range(count):
        order = generator.permutation(len(positive))
        batch, others = order[:BATCH], order[BATCH:]
        bank = others[positive[others]][: max(BANKS)]
        yield {
            "positives": represent(batch[positive[batch]]),
            "bank": represent(bank),
            "unclicked": represent(batch[arrays["click"][batch] == 0]),
        }


def survey(run: Run, data: Prepared, count: int) -> list[dict[str, Any]]:
    """Means over batches, by representation, bank and kappa."""
    found: dict[tuple[str, int, float], list[dict[str, float]]] = {}
    for batch in batches(run, data, count):
        for name in REPRESENTATIONS:
            for bank in BANKS:
                side = np.concatenate([batch["positives"][name], batch["bank"][name][:bank]])
                cost = squared_euclidean(side, batch["unclicked"][name]).numpy()
                for kappa in KAPPAS:
                    found.setdefault((name, bank, kappa), []).append(regime(cost, kappa))
    rows = []
    for (name, bank, kappa), values in found.items():
        means = {key: _mean([value[key] for value in values]) for key in values[0]}
        rows.append({"representation": name, "bank": bank, "kappa": kappa, **means})
    return rows


def to_markdown(result: Mapping[str, Any]) -> str:
    """The page: one table a run and representation."""
    lines = [f"# Regimes of the transport on {result['data']}", "", f"`{result['command']}`", ""]
    lines += [
        f"Exact plans (R2) of {result['batches']} training batches of {BATCH} rows; labels are "
        "means per batch. A bank adds that many positives of other batches.",
        "",
    ]
    head = (
        "| bank | kappa | kappa N_U / N_P | argmax | fraction > .5 | top-k | mass at own nearest "
    )
    head += "| mass in full columns | top-k shared with nearest positive |"
    for run in result["runs"]:
        for name in REPRESENTATIONS:
            lines += [f"## {run['method']}, {name}", "", head, "|---" * 9 + "|"]
            for row in run["rows"]:
                if row["representation"] == name:
                    lines.append(
                        f"| {row['bank']} | {row['kappa']:g} | {row['ratio']:.2f} | "
                        f"{row['argmax']:.1f} | {row['matched_fraction']:.1f} | {row['top_k']:.1f} "
                        f"| {_percent(row['at_nearest'])} | {_percent(row['binding'])} "
                        f"| {_percent(row['overlap'])} |"
                    )
            lines.append("")
    return "\n".join(lines)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _mean(values: Sequence[float]) -> float | None:
    kept = [value for value in values if np.isfinite(value)]
    return float(np.mean(kept)) if kept else None


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.transport.regime", __doc__)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="a prepared folder")
    add("--runs", required=True, nargs="+", type=Path, help="finished runs on it")
    add("--name", required=True, help="of the results, e.g. kuairand_slice")
    add("--batches", type=int, default=10, help="of 2,048 training rows")
    add("--results", type=Path, default=RESULTS, help="where page and picture go")
    add_quiet(parser)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    return consoles.run_job(lambda: _run(given, console), console)


def _run(given: argparse.Namespace, console: Console) -> int:
    if given.batches < 1:
        raise ValueError(f"--batches: must be 1 or more, received {given.batches}")
    data, runs = Prepared.open(given.data), []
    for folder in given.runs:
        run = Run.open(folder)
        console.step(f"solves batches of {run.config().method}")
        runs.append({"method": run.config().method, "rows": survey(run, data, given.batches)})
    result = {
        "data": given.name,
        "command": "python -m benchmarks.transport.regime "
        f"--data DIR --runs RUN --name {given.name}",
        "machine": machine_facts(),
        "batches": given.batches,
        "runs": runs,
    }
    stem = given.results / f"regime_{given.name}"
    write_json(stem.with_suffix(".json"), result)
    write_text(stem.with_suffix(".md"), to_markdown(result))
    save_plot(stem.with_suffix(".png"), runs)
    for suffix in (".json", ".md", ".png"):
        console.wrote(stem.with_suffix(suffix))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
