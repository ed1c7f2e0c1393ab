"""Permutation importance: how much CVR AUC is lost when a feature is shuffled among the rows.

The columns of a group are shuffled together, and the same rows lend their values to every group.
Where there are many rows the loss is measured on all converted ones and a share of the others,
which changes no AUC, and values are still drawn from all rows.

Source: Breiman, Random Forests, Machine Learning 45, 2001, section 10; Fisher, Rudin and Dominici,
JMLR 20(177), 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from idefn_tf.data import to_arrays
from idefn_tf.evaluation.resampling import resample
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema
from pipelines.reports.intervals import Ranked, interval
from pipelines.reports.material import Material

#: Shuffles of every group, rows that are scored, bootstrap draws.
SEEDS, MOST, DRAWS = 5, 20_000, 100


@dataclass(frozen=True)
class Importance:
    """What shuffling one group costs.

    Attributes:
        group: its name.
        columns: what was shuffled together.
        drop: mean loss of CVR AUC, all_funnel, over the shuffles.
        spread: standard deviation over the shuffles.
        bounds: 95 % bootstrap interval over rows, where there is one.
    """

    group: str
    columns: tuple[str, ...]
    drop: float
    spread: float
    bounds: tuple[float, float] | None


def groups(schema: Schema) -> dict[str, tuple[str, ...]]:
    """Returns what is shuffled together: a feature and its weights, a key's history, a sequence."""
    found: dict[str, tuple[str, ...]] = {}
    for feature in schema.recorded:
        weights = (feature.weights_name,) if feature.weights is not None else ()
        found[feature.name] = (feature.name, *weights)
    for aggregate in schema.past.aggregates:
        name = f"history of {' x '.join(aggregate.keys)}"
        found[name] = (*found.get(name, ()), *aggregate.names)
    return found | {f"sequence {s.name}": s.names for s in schema.sequences}


def measure(material: Material) -> tuple[list[Importance], int]:
    """Shuffles every group of the main run's features on the report's rows.

    Returns:
        The groups, largest loss first, and the number of rows scored. None where a class is absent.
    """
    rows, main = material.rows, material.main
    if rows is None:
        return [], 0
    label = np.asarray(rows.columns["click"] * rows.columns["conversion"], np.float64)
    chosen = sample(label, material.seed)
    given = to_arrays(main.schema, rows.table, labels=False)
    arrays = {n: tf.convert_to_tensor(given[n]) for n in main.model.features.raw_names}
    program = _scoring(main.model)
    weight = np.asarray(rows.weight, np.float64)[chosen]
    own, label = np.asarray(main.scores["cvr"], np.float64)[chosen], label[chosen]
    base = Ranked(label, own)
    whole = base.auc_ks(weight)[0]
    if not np.isfinite(whole):
        return [], len(chosen)
    draws = [w * weight for w in resample(None, len(chosen), DRAWS, material.seed)]
    drawn = np.array([base.auc_ks(w)[0] for w in draws])
    lenders = [
        np.random.default_rng([material.seed, i]).permutation(len(rows))[chosen]
        for i in range(SEEDS)
    ]
    found = []
    for name, columns in groups(main.schema).items():
        scores = _shuffled_scores(program, arrays, columns, chosen, lenders)
        ranked = [Ranked(label, score) for score in scores]
        drops = [whole - r.auc_ks(weight)[0] for r in ranked]
        again = np.array([np.mean([r.auc_ks(w)[0] for r in ranked]) for w in draws])
        found.append(
            Importance(
                name,
                columns,
                float(np.mean(drops)),
                float(np.std(drops)),
                interval(drawn - again),
            )
        )
    return sorted(found, key=lambda f: -f.drop), len(chosen)


def sample(label: NDArray, seed: int) -> NDArray[np.int64]:
    """Returns the rows that are scored: all where they are few, else every positive that fits."""
    if len(label) <= MOST:
        return np.arange(len(label))
    rng = np.random.default_rng(seed)
    positive, negative = np.flatnonzero(label > 0.5), np.flatnonzero(label <= 0.5)
    positive = rng.permutation(positive)[: MOST // 2]
    negative = rng.permutation(negative)[: MOST - len(positive)]
    return np.sort(np.concatenate([positive, negative]))


def _shuffled_scores(
    program: Callable[[Mapping[str, tf.Tensor]], tf.Tensor],
    arrays: Mapping[str, tf.Tensor],
    columns: tuple[str, ...],
    chosen: NDArray[np.int64],
    lenders: list[NDArray[np.int64]],
) -> NDArray:
    """Returns CVR scores [shuffles, rows] with the columns of other rows."""
    own = {name: tf.gather(values, chosen) for name, values in arrays.items()}
    scores = []
    for lender in lenders:
        lent = {name: tf.gather(arrays[name], lender) for name in columns if name in arrays}
        scores.append(np.asarray(program({**own, **lent}), np.float64))
    return np.stack(scores)


def _scoring(model: EntireSpaceModel) -> Callable[[Mapping[str, tf.Tensor]], tf.Tensor]:
    """Returns one program for all groups: `predict` would trace its own for each data set."""

    def cvr(rows: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return tf.reshape(model(rows, training=False)["cvr"], [-1])

    program: Callable[[Mapping[str, tf.Tensor]], tf.Tensor] = tf.function(cvr, autograph=False)
    return program
