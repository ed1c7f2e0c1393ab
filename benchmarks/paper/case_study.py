"""The case study: one batch, what the transport matched in it, and what of that was right.

A trained IdeFN deals with one shuffled batch of training rows. Shown are the plan as a heat map,
the matched pairs with their raw features, how many relabelled rows are recorded conversions
(probes), how many conversions hidden in the batch (spies) are found again, and how far the choice
is that of the nearest positive, which needs no transport.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.paper import plots
from idefn_tf._files import write_json, write_text
from idefn_tf.data import to_arrays
from idefn_tf.models import IdeFN
from idefn_tf.models.batch import Batch
from pipelines.experiment.evaluation import report_columns
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

#: Columns of the heat map: the unclicked rows with the greatest matched share.
SHOWN_COLUMNS = 80
SHOWN_PAIRS = 12
SHOWN_FEATURES = 8
SPY_SHARE = 0.3
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Matching:
    """What the transport does with one batch.

    Attributes:
        plan: [positives + 1, unclicked], the virtual row last; each column sums to one.
        cost: [positives, unclicked].
        positives: the converted row of the batch behind each row of the plan.
        unclicked: rows of the batch that are not clicked.
        labels: pseudo-labels [unclicked].
        partner: index into `positives` that gives each column most.
    """

    plan: np.ndarray
    cost: np.ndarray
    positives: np.ndarray
    unclicked: np.ndarray
    labels: np.ndarray
    partner: np.ndarray

    @property
    def matched(self) -> np.ndarray:
        """The share of each unclicked row's mass that converted rows supply, [unclicked]."""
        return self.plan[:-1].sum(0)

    @property
    def nearest(self) -> np.ndarray:
        """As many unclicked rows as are labelled, those nearest to a converted row; [unclicked]."""
        count = int((self.labels > 0.5).sum())
        chosen = np.zeros(len(self.unclicked), bool)
        chosen[np.argsort(self.cost.min(0), kind="stable")[:count]] = True
        return chosen


def match_batch(model: IdeFN, arrays: Arrays) -> Matching:
    """Runs a trained model's transport on the rows of `arrays`, labels included.

    Raises:
        ValueError: if the batch holds no converted or no unclicked row.
    """
    click, conversion = arrays["click"], arrays["conversion"]
    positives = np.flatnonzero((click == 1) & (conversion == 1))
    unclicked = np.flatnonzero(click == 0)
    if positives.size == 0 or unclicked.size == 0:
        raise ValueError(
            f"batch: must hold converted and unclicked rows, received {positives.size} and "
            f"{unclicked.size}; take a larger batch or another seed"
        )
    raw = {name: tf.constant(arrays[name]) for name in model.features.raw_names}
    outputs = model.forward(model.features(model.features.encode(raw)), training=False)
    batch = Batch(*(tf.constant(arrays[k]) for k in ("click", "conversion", "sample_weight")))
    found = model.match(outputs, batch)
    taken = found.plan.problem.row_mask.numpy()
    cost = found.plan.problem.cost.numpy()[taken]
    real = found.plan.real_rows.numpy()[taken][:, unclicked]
    plan = np.concatenate([real, found.plan.virtual_row.numpy()[None, unclicked]])
    return Matching(
        plan=plan / plan.sum(0, keepdims=True),
        cost=cost[:, unclicked],
        # the plan's columns are the batch's rows, and a row is nearest to itself
        positives=positives[cost[:, positives].argmin(1)],
        unclicked=unclicked,
        labels=found.labels.numpy()[unclicked],
        partner=real.argmax(0),
    )


def study(run: Run, data: Prepared, seed: int = 0) -> tuple[dict[str, Any], Matching, np.ndarray]:
    """Studies one batch of the training rows.

    Args:
        run: a finished run of IdeFN.
        data: its prepared folder.
        seed: of the batch and of the spies.

    Returns:
        The numbers and pairs, the matching itself, and which unclicked rows are recorded
        conversions.

    Raises:
        ValueError: if the run's method is not IdeFN.
    """
    model, size = run.load_model(), run.config().training.batch_size
    if not isinstance(model, IdeFN):
        raise ValueError(f"--case-study: must be a run of idefn, {run.root} is another")
    table, generator = data.table("train"), np.random.default_rng(seed)
    at = np.sort(generator.permutation(table.num_rows)[:size])
    arrays = to_arrays(data.schema, table.take(at))
    report = {k: v[at] for k, v in report_columns(data, "train").items()}
    found = match_batch(model, arrays)
    probe = report["conversion_raw"][found.unclicked] == 1
    chosen = found.labels > 0.5
    numbers: dict[str, Any] = {
        "rows": size,
        "positives": int(found.positives.size),
        "unclicked": int(found.unclicked.size),
        "relabelled": int(chosen.sum()),
        "probes": int(probe.sum()),
        "probes_relabelled": int((probe & chosen).sum()),
        "overlap_with_nearest_positive": _ratio((chosen & found.nearest).sum(), chosen.sum()),
        "spies": _spies(model, arrays, generator),
        "pairs": _pairs(data, arrays, report, found),
    }
    if "oracle_conversion" in report:
        oracle = report["oracle_conversion"][found.unclicked] == 1
        numbers["oracle"] = int(oracle.sum())
        numbers["oracle_relabelled"] = int((oracle & chosen).sum())
    return numbers, found, probe


def _spies(model: IdeFN, arrays: Arrays, generator: np.random.Generator) -> dict[str, Any]:
    """Hides a part of the batch's clicked rows and counts how many conversions are found again."""
    clicked = np.flatnonzero(arrays["click"] == 1)
    spies = generator.choice(clicked, max(1, round(SPY_SHARE * clicked.size)), replace=False)
    hidden = dict(arrays)
    for name in ("click", "conversion"):
        hidden[name] = arrays[name].copy()
        hidden[name][spies] = 0
    found = match_batch(model, hidden)
    chosen = np.zeros(len(arrays["click"]), bool)
    chosen[found.unclicked[found.labels > 0.5]] = True
    converted = spies[arrays["conversion"][spies] == 1]
    return {
        "hidden": int(spies.size),
        "converted": int(converted.size),
        "relabelled": int(chosen[spies].sum()),
        "converted_relabelled": int(chosen[converted].sum()),
    }


def _pairs(data: Prepared, arrays: Arrays, report: Arrays, found: Matching) -> list[dict[str, Any]]:
    """The most matched unclicked rows beside their partners, with the raw features of both."""
    names = [f.name for f in data.schema.features if arrays[f.name].ndim == 1]
    pairs = []
    for column in np.argsort(-found.matched, kind="stable")[:SHOWN_PAIRS]:
        row, partner = found.unclicked[column], found.positives[found.partner[column]]
        same = [n for n in names if arrays[n][row] == arrays[n][partner]]
        pairs.append(
            {
                "matched": float(found.matched[column]),
                "label": float(found.labels[column]),
                "recorded_conversion": int(report["conversion_raw"][row]),
                "rank_by_distance": int((found.cost.min(0) < found.cost[:, column].min()).sum()),
                "same_features": len(same),
                "features": len(names),
                "unclicked": {n: _plain(arrays[n][row]) for n in names},
                "positive": {n: _plain(arrays[n][partner]) for n in names},
            }
        )
    return pairs


def picture(found: Matching, probe: np.ndarray, title: str) -> Any:
    """Draws the plan's most matched columns.

    Args:
        found: the batch's matching.
        probe: whether each unclicked row is a recorded conversion.
        title: of the picture.
    """
    order = np.argsort(-found.matched, kind="stable")[:SHOWN_COLUMNS]
    marks = {
        "relabelled": np.flatnonzero(found.labels[order] > 0.5).tolist(),
        "nearest positive": np.flatnonzero(found.nearest[order]).tolist(),
        "recorded conversion": np.flatnonzero(probe[order]).tolist(),
    }
    return plots.plan_picture(found.plan[:, order], marks, title)


def markdown(name: str, numbers: Mapping[str, Any], image: Path) -> str:
    """Writes the case study's page."""
    spies = numbers["spies"]
    lines = [
        f"# {name}: one batch of IdeFN\n",
        f"{numbers['rows']:,} training rows: {numbers['positives']} converted, "
        f"{numbers['unclicked']:,} unclicked, {numbers['relabelled']} of these relabelled.\n",
        f"![the plan]({image.name})\n",
        f"* Recorded conversions without a click: {numbers['probes']}, of which "
        f"{numbers['probes_relabelled']} were relabelled.",
        f"* Hidden clicks: {spies['hidden']}, of which {spies['converted']} converted; "
        f"{spies['relabelled']} hidden rows were relabelled, {spies['converted_relabelled']} of "
        "them converted.",
        f"* {numbers['overlap_with_nearest_positive']:.0%} of the relabelled rows are the same as "
        "by distance to the nearest positive alone.",
    ]
    if "oracle" in numbers:
        lines.append(
            f"* Potential conversions among the unclicked: {numbers['oracle']}, of which "
            f"{numbers['oracle_relabelled']} were relabelled."
        )
    lines += [
        "\nThe most matched unclicked rows and the converted row that gives each most (features "
        "that differ, at most eight):\n",
        "| matched | label | recorded | rank by distance | same features | differing: unclicked / "
        "converted |",
        "|---:|---:|---:|---:|---:|---|",
    ]
    for pair in numbers["pairs"]:
        differing = [n for n in pair["unclicked"] if pair["unclicked"][n] != pair["positive"][n]]
        told = "; ".join(
            f"{n} {pair['unclicked'][n]} / {pair['positive'][n]}"
            for n in differing[:SHOWN_FEATURES]
        )
        lines.append(
            f"| {pair['matched']:.2f} | {pair['label']:g} | {pair['recorded_conversion']} | "
            f"{pair['rank_by_distance']} | {pair['same_features']} of {pair['features']} | "
            f"{told} |"
        )
    return "\n".join(lines) + "\n"


def write(name: str, run: Run, data: Prepared, results: Path) -> Sequence[Path]:
    """Studies a run and writes JSON, page and picture; returns their paths."""
    numbers, found, probe = study(run, data)
    base = results / f"paper_{name}_case_study"
    drawn = picture(found, probe, f"{name}: the plan of one batch")
    image = plots.save(drawn, base.with_suffix(".png"))
    write_json(base.with_suffix(".json"), numbers)
    write_text(base.with_suffix(".md"), markdown(name, numbers, image))
    return [base.with_suffix(end) for end in (".md", ".json", ".png")]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if hasattr(value, "item") else value
