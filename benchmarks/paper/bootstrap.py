"""Paired bootstrap over users, items and seeds: is a difference one of methods, or of these rows?

Standard deviations over seeds say how training varies on the same test rows. With some hundred
test conversions the rows matter more. Each draw takes as many users as there are, with replacement
(a user's rows stay together and count as often as the user was drawn), and seeds with replacement
(both methods of a seed stay together); every method meets the same draws. Items are drawn likewise,
and widen what the users' draws say (`idefn_tf.evaluation.resampling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.paper.cell import SCORES
from benchmarks.paper.grid import Cell
from benchmarks.paper.summary import REFERENCES
from idefn_tf.data import to_arrays
from idefn_tf.evaluation.resampling import find_items, resample_ways, two_way_variance
from idefn_tf.evaluation.spaces import select
from pipelines.experiment.evaluation import report_columns
from pipelines.preparation.prepared_folder import Prepared

DRAWS = 500
#: Where the reports' differences are tested; each is left out where the data cannot tell it.
SPACES = ("all_raw", "all_funnel", "unclicked_raw", "oracle")

#: By method and seed, AUCs [ways, 1 + draws] of draws over users, and where items are told over
#: items and pairs; the first of each way is that of the rows as they are.
Draws = Mapping[str, Mapping[int, np.ndarray]]


class Ranking:
    """Rows sorted once by a score, for many weighted AUCs.

    Args:
        label: 0 or 1, [rows].
        score: [rows].
    """

    def __init__(self, label: np.ndarray, score: np.ndarray) -> None:
        self._order = np.argsort(score, kind="stable")
        ranked = np.asarray(score)[self._order]
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        self._label = np.asarray(label, np.float64)[self._order]

    def auc(self, weight: np.ndarray) -> float:
        """Returns the AUC with weights [rows], ties half; nan without both classes."""
        if not self._label.size:
            return float("nan")
        ranked = weight[self._order]
        positive = np.add.reduceat(ranked * self._label, self._starts)
        negative = np.add.reduceat(ranked * (1.0 - self._label), self._starts)
        below = np.cumsum(negative) - negative
        pairs = positive.sum() * negative.sum()
        return float(np.sum(positive * (below + negative / 2)) / pairs) if pairs else float("nan")


def draw_aucs(
    label: np.ndarray,
    scores: Mapping[str, Mapping[int, np.ndarray]],
    users: np.ndarray,
    draws: int = DRAWS,
    seed: int = 0,
    items: np.ndarray | None = None,
) -> dict[str, dict[int, np.ndarray]]:
    """Returns, by method and seed, the AUC of the rows as they are and of every draw.

    Args:
        label: [rows].
        scores: by method and seed, [rows].
        users: [rows].
        draws: how many of each way.
        seed: of the draws.
        items: [rows], or None to draw users alone.

    Returns:
        Arrays [1 or 3, 1 + draws]: over users, over items, over their pairs.
    """
    rankings = {
        method: {s: Ranking(label, score) for s, score in by_seed.items()}
        for method, by_seed in scores.items()
    }
    shape, ones = (1 if items is None else 3, 1 + draws), np.ones(len(label))
    found: dict[str, dict[int, np.ndarray]] = {
        method: {s: np.full(shape, ranking.auc(ones)) for s, ranking in by_seed.items()}
        for method, by_seed in rankings.items()
    }
    for way, draw, weight in resample_ways(users, items, len(label), draws, seed):
        for method, by_seed in rankings.items():
            for s, ranking in by_seed.items():
                found[method][s][way, 1 + draw] = ranking.auc(weight)
    return found


def difference(drawn: Draws, method: str, reference: str, seed: int = 0) -> dict[str, Any] | None:
    """Compares two methods over the draws, with seeds drawn on top.

    Returns:
        {"mean", "low", "high", "p", "seeds"}: the difference on the rows as they are, the 2.5 and
        97.5 percentiles of the draws, widened about it by what items add, and twice the smaller
        tail at 0; None without a common seed, or where no draw has both classes.
    """
    seeds = sorted(set(drawn.get(method, {})) & set(drawn.get(reference, {})))
    if not seeds:
        return None
    delta = np.stack([drawn[method][s] - drawn[reference][s] for s in seeds])
    generator = np.random.default_rng(seed)
    draws = delta.shape[2] - 1
    chosen = generator.integers(0, len(seeds), (len(seeds), draws))
    values = delta[chosen, 0, np.arange(1, 1 + draws)[None, :]].mean(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    mean = float(delta[:, 0, 0].mean())
    own = float(np.var(values))
    if own > 0.0:
        rows = delta.mean(0)[:, 1:]
        added = two_way_variance(rows) - two_way_variance(rows[:1])
        values = mean + (values - mean) * np.sqrt((own + added) / own)
    low, high = np.percentile(values, [2.5, 97.5])
    tail = min(float(np.mean(values <= 0)), float(np.mean(values >= 0)))
    # a tail never seen is not a tail of 0
    p = min(1.0, 2 * max(tail, 1 / (len(values) + 1)))
    return {"mean": mean, "low": float(low), "high": float(high), "p": p, "seeds": len(seeds)}


def report_labels(data: Prepared) -> dict[str, np.ndarray]:
    """Returns what spaces are made of, of the test rows: clicks and every kind of conversion."""
    arrays = to_arrays(data.schema, data.table("test"))
    own = {"click": arrays["click"], "conversion": arrays["conversion"]}
    return own | report_columns(data, "test")


def bootstrap(cells: Sequence[Cell], data: Prepared, draws: int = DRAWS) -> list[dict[str, Any]]:
    """Bootstraps every method's CVR AUC against the references.

    Args:
        cells: the grid; those not finished are left out.
        data: the prepared folder, for labels, users and items of the test rows.
        draws: of each way; 0 switches the bootstrap off.

    Returns:
        [{"setting", "backbone", "reference", "method", "space", "over", and what `difference`
        returns}]; "over" names the columns that were drawn; [] where the schema names no user.
    """
    schema = data.schema
    if draws < 1 or schema.user_key is None or "test" not in data.parts:
        return []
    arrays, columns = to_arrays(schema, data.table("test")), report_labels(data)
    users, item = arrays[schema.user_key], find_items(schema, arrays)
    over = [schema.user_key] if item is None else [schema.user_key, item]
    groups: dict[tuple[str, str], dict[str, dict[int, np.ndarray]]] = {}
    for cell in cells:
        path = cell.folder / SCORES
        if path.is_file():
            with np.load(path) as scores:
                methods = groups.setdefault((cell.setting, cell.backbone), {})
                methods.setdefault(cell.variant, {})[cell.seed] = scores["cvr"]
    found = []
    for (setting, backbone), methods in groups.items():
        for space in SPACES:
            if space == "oracle" and "oracle_conversion" not in columns:
                continue
            mask, label = select(space, columns)
            held = {m: {s: p[mask] for s, p in seeds.items()} for m, seeds in methods.items()}
            items = None if item is None else arrays[item][mask]
            drawn = draw_aucs(label[mask], held, users[mask], draws, items=items)
            for reference in REFERENCES:
                for method in methods:
                    told = difference(drawn, method, reference) if method != reference else None
                    if told is not None:
                        names = {"setting": setting, "backbone": backbone, "space": space}
                        names |= {"reference": reference, "method": method}
                        found.append({**names, "over": over, **told})
    return found
