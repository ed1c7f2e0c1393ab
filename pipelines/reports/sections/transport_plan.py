"""Section: the transport plan of one batch, as a heat map with the matched exposures named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from idefn_tf.schema import Schema
from idefn_tf.transport import Status
from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, number, percent, table
from pipelines.reports.style import INK, RAMP
from pipelines.reports.train_batch import TrainBatch

#: How many positives and unclicked exposures the heat map shows.
POSITIVES, UNCLICKED = 12, 12
_COLOURS = LinearSegmentedColormap.from_list("share", RAMP)


@dataclass(frozen=True)
class Shown:
    """The part of a plan that is drawn.

    Attributes:
        share: [positives shown, unclicked shown], the share of an unclicked exposure's mass that a
            positive supplies.
        positives: rows of the batch, or -1 for one kept from an earlier batch.
        unclicked: rows of the batch, best matched first.
        matched: matched fraction of each of them.
        best: for each of them, the position of its best positive among `positives`.
    """

    share: NDArray
    positives: NDArray
    unclicked: NDArray
    matched: NDArray
    best: NDArray


def section(material: Material, batch: TrainBatch | None) -> Section:
    """Heat map, solver's account, and names; or why there is no plan."""
    found = Section("plan", "The plan of a batch")
    if material.data is None:
        found.note("Needs the prepared data: give --data.")
        return found
    if batch is None or batch.matches is None:
        found.note(
            f"{material.main.config.method} moves nothing: it has no transport, so there is no "
            "plan to show. Only IdeFN and its ablations match unclicked exposures to conversions."
        )
        return found
    _account(found, material, batch)
    shown = best_part(batch)
    if shown is None:
        found.note(
            "No mass reached an unclicked exposure in this batch: it holds no positives, or kappa "
            "is 0.",
            warning=True,
        )
        return found
    found.figures([_heat_map(shown)])
    found.body.append(_pairs(material, batch, shown))
    found.folded("All raw features of the exposures shown", _features(material, batch, shown))
    return found


def best_part(batch: TrainBatch) -> Shown | None:
    """Chooses the best matched unclicked exposures and the positives that supply them."""
    plan = batch.matches.plan
    column = np.asarray(plan.problem.column_mass)
    mass = np.asarray(plan.real_rows)
    share = np.divide(mass, column, out=np.zeros_like(mass), where=column > 0)
    matched = np.asarray(batch.matches.matched_fraction)
    # relabelled ones first, then by matched fraction
    order = np.lexsort((-matched, ~np.asarray(batch.relabelled)))
    unclicked = np.array([j for j in order if matched[j] > 0][:UNCLICKED], dtype=np.int64)
    if not unclicked.size:
        return None
    supplied = share[:, unclicked]
    leading = np.unique(supplied.argmax(axis=0))
    rest = [i for i in np.argsort(-supplied.sum(axis=1)) if i not in leading]
    chosen = np.sort(np.r_[leading, rest[: max(POSITIVES - leading.size, 0)]].astype(np.int64))
    owners = np.full(share.shape[0], -1)  # the memory's entries come last
    of_batch = np.asarray(batch.matches.rows)
    owners[: of_batch.size] = of_batch
    kept = chosen[supplied[chosen].sum(axis=1) > 0]
    best = supplied[kept].argmax(axis=0)
    return Shown(supplied[kept], owners[kept], unclicked, matched[unclicked], best)


def _account(found: Section, material: Material, batch: TrainBatch) -> None:
    matches, config = batch.matches, material.main.config.model
    unclicked = int((batch.click < 0.5).sum())
    relabelled = 0 if batch.relabelled is None else int(batch.relabelled.sum())
    status = int(np.asarray(matches.status))
    found.text(
        f"One batch of {len(batch):,} training rows through the selected model: "
        f"{len(batch.positives)} positives against {unclicked:,} unclicked exposures. "
        f"The solver's status is {Status(status).name.lower().replace('_', ' ')} after "
        f"{int(np.asarray(matches.iterations)):,} iterations, with a marginal error of "
        f"{float(np.asarray(matches.marginal_error)):.1e}. The positives supply "
        f"{percent(float(np.asarray(matches.matched_fraction).sum()) / max(unclicked, 1))} of the "
        f"unclicked mass, and {relabelled} exposures are relabelled."
    )
    settings = ", ".join(f"{k} {v}" for k, v in config.items() if k not in ("alpha", "gamma"))
    if settings:
        found.text(f"Settings: {settings}.")
    if relabelled == 0:
        found.note(
            "Nothing was relabelled in this batch, so on it the model trains as AllNegative does.",
            warning=True,
        )


def _heat_map(shown: Shown) -> str:
    rows, columns = shown.share.shape

    def paint(axes: Axes) -> None:
        top = max(float(shown.share.max()), 1e-9)
        mesh = axes.pcolormesh(shown.share, cmap=_COLOURS, vmin=0, vmax=top, edgecolors="white")
        for i in range(rows):
            for j in range(columns):
                value = float(shown.share[i, j])
                if value >= 0.2 * top:
                    colour = "white" if value > 0.55 * top else INK
                    axes.text(j + 0.5, i + 0.5, f"{value:.0%}" if value >= 0.01 else f"{value:.1%}",
                              ha="center", va="center", fontsize=7.5, color=colour)  # fmt: skip
        axes.set_xticks(np.arange(columns) + 0.5, [f"U{j + 1}" for j in range(columns)])
        axes.set_yticks(np.arange(rows) + 0.5, [f"P{i + 1}" for i in range(rows)])
        axes.set_ylim(rows, 0)
        axes.set_xlabel("unclicked exposures, best matched first")
        axes.set_ylabel("positives")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02, fraction=0.04)
        bar.set_label("share of the exposure's mass")
        if bar.solids is not None:  # no seams between its colours
            bar.solids.set_edgecolor("face")

    words = "; ".join(
        f"U{j + 1} gets {shown.share[shown.best[j], j]:.0%} from P{shown.best[j] + 1}"
        for j in range(columns)
    )
    return draw(
        "plan-heat-map",
        "Who supplies whom",
        f"Heat map of the plan between {rows} positives and the {columns} best matched unclicked "
        f"exposures. {words}.",
        paint,
        note="Share of each unclicked exposure's mass that each positive supplies.",
        size=(7.4, 1.1 + 0.28 * rows),
        wide=True,
    )


def _pairs(material: Material, batch: TrainBatch, shown: Shown) -> str:
    schema = material.main.schema
    rows: list[list[Content]] = []
    for j, at in enumerate(shown.unclicked):
        i = int(shown.best[j])
        positive = int(shown.positives[i])
        same = [] if positive < 0 else agreement(schema, batch, positive, int(at))
        relabelled = batch.relabelled is not None and batch.relabelled[at]
        agreed = ", ".join(same[:4]) + (f" and {len(same) - 4} more" if len(same) > 4 else "")
        rows.append(
            [
                Cell(f"U{j + 1}", small="relabelled" if relabelled else "not relabelled"),
                Cell(percent(float(shown.matched[j]), 1), float(shown.matched[j])),
                identity(schema, batch, int(at)),
                f"P{i + 1}: {identity(schema, batch, positive)}",
                Cell(
                    f"{len(same)} of {len(schema.features)}: {agreed}" if same else "-", prose=True
                ),
                number(float(batch.cvr[at])),
                "yes" if batch.truth[at] == 1 else "no",
            ]
        )
    truth = "potential" if batch.truth_name == "oracle_conversion" else "recorded"
    columns = ["exposure", "matched", "unclicked exposure", "best positive",
               "features that agree", "predicted CVR", f"{truth} conversion"]  # fmt: skip
    return table("The best matched exposures by name", columns, rows)


def identity(schema: Schema, batch: TrainBatch, at: int) -> str:
    """Names an exposure by its user and its item."""
    if at < 0:
        return "from an earlier batch"
    names = [schema.user_key] if schema.user_key else []
    for side in ("user", "item"):
        first = next((f.name for f in schema.ordered if f.side == side), None)
        if first and first not in names and not (side == "user" and names):
            names.append(first)
    return ", ".join(f"{name} {_value(batch, name, at)}" for name in names)


def agreement(schema: Schema, batch: TrainBatch, a: int, b: int) -> list[str]:
    """Returns the features, with values, that two exposures share; the rarest values first."""
    found = []
    for feature in schema.features:
        column = batch.table[feature.name]
        left = column[a].as_py()
        if left == column[b].as_py() and left not in (None, "", -1, []):
            same = sum(value == left for value in column.to_pylist())
            found.append((same, f"{feature.name} {_write(left)}"))
    return [text for _, text in sorted(found)]


def _features(material: Material, batch: TrainBatch, shown: Shown) -> str:
    schema = material.main.schema
    named = [(f"P{i + 1}", int(at)) for i, at in enumerate(shown.positives) if at >= 0]
    named += [(f"U{j + 1}", int(at)) for j, at in enumerate(shown.unclicked)]
    rows: list[list[Content]] = [
        [feature.name, *(Cell(_value(batch, feature.name, at)) for _, at in named)]
        for feature in schema.ordered
    ]
    return table("Raw features", ["feature", *(name for name, _ in named)], rows)


def _value(batch: TrainBatch, name: str, at: int) -> str:
    return _write(batch.table[name][at].as_py())


def _write(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_write(v) for v in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
