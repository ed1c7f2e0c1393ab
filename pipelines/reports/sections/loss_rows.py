"""Section: which rows feed which loss, measured on the model itself.

For every loss term, the gradient with respect to the towers' logits says which rows the term
touches, and whether it asks them up or down. That holds for every method alike.
"""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from idefn_tf.models import EntireSpaceModel
from idefn_tf.models.entire_space_model import FEEDBACK_LOSS
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, preformatted
from pipelines.reports.train_batch import TrainBatch

_HEADS = {"ctr": "CTR tower", "cvr": "CVR tower"}
#: A gradient smaller than this share of the term's greatest one counts as none.
_NOTHING = 1e-12


def section(material: Material, batch: TrainBatch | None) -> Section:
    """The method's formula, and a table of what each term asks of each kind of row."""
    found = Section("losses", "Which rows feed which loss")
    model = material.main.model
    formula = _formula(type(model))
    if formula:
        found.text(f"{type(model).__name__} trains on this loss:")
        found.body.append(preformatted(formula))
    if batch is None:
        found.note("Without the training data (--data) the rows of each term cannot be measured.")
        return found
    kinds = row_kinds(batch)
    terms = feeds(model, batch)
    columns = ["rows", "in this batch", *(f"{term}: {_HEADS.get(t, t)}" for term, t in terms)]
    rows: list[list[Content]] = []
    for kind, mask in kinds.items():
        cells: list[Content] = [kind, Cell(f"{int(mask.sum()):,}", float(mask.sum()))]
        cells += [_says(gradient, mask) for gradient in terms.values()]
        rows.append(cells)
    found.table(
        f"What each loss term asks of the rows, on {len(batch):,} training rows", columns, rows
    )
    found.text(
        "Up means that the term raises the tower's probability on those rows, down that it lowers "
        "it; the share is that of the term's whole pull on that tower, by the size of its "
        "gradient. A dash: the term does not look at those rows."
    )
    return found


def row_kinds(batch: TrainBatch) -> dict[str, NDArray[np.bool_]]:
    """Names the kinds of rows of a batch; relabelled ones apart, where there are some."""
    click, conversion = batch.click > 0.5, batch.conversion > 0.5
    kinds = {
        "clicked, converted": click & conversion,
        "clicked, not converted": click & ~conversion,
    }
    if batch.relabelled is None:
        return {**kinds, "unclicked": ~click}
    return {
        **kinds,
        "unclicked, relabelled": batch.relabelled,
        "unclicked, not relabelled": ~click & ~batch.relabelled,
    }


def feeds(model: EntireSpaceModel, batch: TrainBatch) -> dict[tuple[str, str], NDArray]:
    """Returns the gradient [rows] of every loss term on every tower's logit, where it is not 0."""
    outputs = model.forward(model.features(batch.encoded), training=False)
    logits = {task: tf.identity(value) for task, value in outputs.logits.items()}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        losses = model.compute_losses(replace(outputs, logits=dict(logits)), batch.labelled)
    found = {}
    for term, loss in losses.items():
        gradients = tape.gradient(loss, logits)
        for task, gradient in gradients.items():
            values = None if gradient is None else np.asarray(gradient).reshape(-1)
            if values is not None and np.abs(values).max() > 0:
                found[term, task] = values
    return found


def _says(gradient: NDArray, mask: NDArray) -> Content:
    size = np.abs(gradient)
    pull = float(size[mask].sum() / size.sum())
    if pull <= _NOTHING:
        return "-"
    up = float(size[mask & (gradient < 0)].sum() / max(size[mask].sum(), 1e-300))
    way = "up" if up > 0.99 else "down" if up < 0.01 else f"{up:.0%} up, {1 - up:.0%} down"
    return f"{way} ({pull:.1%})"


def _formula(cls: type) -> str:
    """Returns the indented block after "Formula" in a class's docstring."""
    text = inspect.getdoc(cls) or ""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if not inside:
            inside = line.startswith("Formula")
        elif line.startswith("  ") or not line.strip():
            lines.append(line[4:])
        else:
            break
    return "\n".join(lines).strip("\n")


def named_losses(history: list[dict[str, float]], method: type) -> list[str]:
    """Returns the loss terms of a method that the history holds."""
    names: tuple[str, ...] = (*getattr(method, "loss_names", ()), FEEDBACK_LOSS)
    return [name for name in names if history and name in history[0]]
