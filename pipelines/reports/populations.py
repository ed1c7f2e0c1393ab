"""The groups of rows that reliability and gain charts look at: rows, score and label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from idefn_tf.evaluation.spaces import SPACES, select
from pipelines.reports.material import Material


@dataclass(frozen=True)
class Population:
    """Rows with one score and one label.

    Attributes:
        key: short and unique, such as "cvr-clicked".
        title: for readers.
        head: the output scored.
        space: the space whose rows and label these are.
        score: [rows].
        label: [rows], 0 or 1.
        weight: [rows].
    """

    key: str
    title: str
    head: str
    space: str
    score: NDArray
    label: NDArray
    weight: NDArray


def populations(material: Material, scores: Mapping[str, NDArray]) -> Iterator[Population]:
    """Yields the CVR in every space that the rows allow, then CTR and CTCVR on every exposure."""
    rows = material.rows
    if rows is None:
        return
    weight = np.asarray(rows.weight, np.float64)
    for space in SPACES.values():
        if not set(space.columns) <= set(rows.columns):
            continue
        mask, label = select(space.name, rows.columns)
        if mask.any() and label[mask].any():
            yield Population(
                f"cvr-{space.name.replace('_', '-')}",
                f"CVR, {space.name}",
                "cvr",
                space.name,
                np.asarray(scores["cvr"], np.float64)[mask],
                label[mask],
                weight[mask],
            )
    funnel = select("all_funnel", rows.columns)[1]
    for head, label in (("ctr", np.asarray(rows.columns["click"], np.float64)), ("ctcvr", funnel)):
        if label.any():
            score = np.asarray(scores[head], np.float64)
            yield Population(
                head, f"{head.upper()}, every exposure", head, "all_funnel", score, label, weight
            )
