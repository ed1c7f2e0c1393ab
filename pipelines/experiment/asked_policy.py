"""Off-policy value of a run's scores as a policy: parsing what is asked for, scoring, weighing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from idefn_tf.data import exposure_probabilities, read_table, to_arrays
from idefn_tf.data.time_columns import row_time, time_array
from idefn_tf.evaluation import (
    PolicyValue,
    argmax_policy,
    importance_weights,
    softmax_policy,
    top_share_weights,
    value_policy,
)
from idefn_tf.evaluation.policy_value import FEWEST_EFFECTIVE_ROWS
from idefn_tf.evaluation.resampling import find_items
from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema, zones
from idefn_tf.schema.moments import per_second
from pipelines.experiment.evaluation import predict

Kind = Literal["top", "softmax", "argmax"]
#: What --policy means without a value.
DEFAULT = "top:0.1"
#: Pairs of a row and a candidate that are scored at a time.
_PAIRS = 200_000
_DAY_SECONDS = 86_400
_FORMS = "top:Q with Q in (0, 1], softmax:T with T above 0, or argmax"


@dataclass(frozen=True)
class Policy:
    """A policy over a model's scores.

    Attributes:
        kind: "top" shows the top share of a day's pairs; "softmax" and "argmax" choose among
            candidates for each row.
        number: the share, or the temperature.
        head: the output that ranks.
    """

    kind: Kind
    number: float = 0.0
    head: str = "ctcvr"

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.kind if self.kind == "argmax" else f"{self.kind}:{self.number:g}"


@dataclass(frozen=True)
class AskedPolicy:
    """What `pipelines.evaluate` was asked of a policy.

    Attributes:
        policy: what is valued.
        probability: a column or a constant in place of the schema's, or None.
        candidates: file of the items that could be shown, or None.
        whole_log: the rows are a log that kept all of them, where the run's was down-sampled.
    """

    policy: Policy
    probability: str | None = None
    candidates: str | None = None
    whole_log: bool = False

    def values(
        self, model: EntireSpaceModel, schema: Schema, table: pa.Table, probabilities: pa.Table
    ) -> dict[str, Any]:
        """Returns the policy's name and `policy_values` as plain values for JSON."""
        items = None if self.candidates is None else read_table(self.candidates, schema)
        schema = with_probability(schema, self.probability)
        given = table, probabilities, self.policy, items, self.whole_log
        found = policy_values(model, schema, *given)
        return {
            "policy": self.policy.name,
            "score": self.policy.head,
            **{reward: value.as_dict() for reward, value in found.items()},
        }


def parse_policy(text: str, head: str = "ctcvr") -> Policy:
    """Reads a policy as the command line names it.

    Raises:
        ValueError: on another form, or a number out of range.
    """
    kind, _, number = text.partition(":")
    if text == "argmax":
        return Policy("argmax", head=head)
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if kind == "top" and 0.0 < value <= 1.0:
        return Policy("top", value, head)
    if kind == "softmax" and 0.0 < value < float("inf"):
        return Policy("softmax", value, head)
    raise ValueError(f"--policy: must be {_FORMS}, received {text!r};\nwrite for example {DEFAULT}")


def with_probability(schema: Schema, given: str | None) -> Schema:
    """Returns the schema with another `labels.exposure_probability`, where one is given.

    Args:
        schema: of the rows.
        given: a column, or a number in (0, 1]; None leaves the schema as it is.

    Raises:
        ValueError: if the number is out of range, or the column is a feature's.
    """
    if given is None:
        return schema
    value: str | float = given
    try:
        value = float(given)
    except ValueError:
        held = {name for f in schema.features for name in (f.name, f.source, f.weights)}
        if given in held:
            raise ValueError(
                f"--exposure-probability: must be no feature, received {given!r};\nthe model "
                "would be scored by what decided what is shown"
            ) from None
    if isinstance(value, float) and not 0.0 < value <= 1.0:
        raise ValueError(
            f"--exposure-probability: must be a column or a constant in (0, 1], received {given}"
        )
    labels = schema.labels.model_copy(update={"exposure_probability": value})
    return schema.model_copy(update={"labels": labels})


def policy_values(
    model: EntireSpaceModel,
    schema: Schema,
    table: pa.Table,
    probabilities: pa.Table,
    policy: Policy,
    candidates: pa.Table | None = None,
    whole_log: bool = False,
) -> dict[str, PolicyValue]:
    """Values a policy by clicks and by conversions after a click.

    Args:
        model: scores rows and candidates.
        schema: of the rows; names their exposure probability.
        table: the log's rows.
        probabilities: the table that holds the column of probabilities, its rows those of `table`.
        policy: what is valued.
        candidates: items that could be shown in any row's place; none for "top".
        whole_log: as `idefn_tf.evaluation.row_weights.row_weights` takes it.

    Returns:
        {"click": ..., "conversion": ...}, each per exposure that the policy shows.

    Raises:
        ValueError: if probabilities or candidates do not fit, or argmax has too few rows.
    """
    arrays = to_arrays(schema, table)
    shown = exposure_probabilities(schema, probabilities)
    users = arrays[schema.user_key] if schema.user_key else None
    scores = {k: np.ravel(v).astype(np.float64) for k, v in predict(model, schema, table).items()}
    counts = row_weights(schema, arrays, whole_log)
    expected: Mapping[str, np.ndarray] = {}
    if policy.kind == "top":
        if candidates is not None:
            raise ValueError(
                "--candidates: must stand beside softmax or argmax, received it with "
                f"{policy.name};\nthe pairs of a top share are the rows themselves: leave it out"
            )
        days = _days(schema, table)
        weight = top_share_weights(scores[policy.head], policy.number, shown, days, counts)
    else:
        if candidates is None:
            raise ValueError(
                f"--candidates: must name a file of items for {policy.name}, received none;\n"
                "give the items that could be shown, one a row, with the item features' columns"
            )
        target, expected = _choices(model, schema, table, arrays, candidates, policy)
        weight = importance_weights(target, shown)
    rewards = {"click": ("ctr", arrays["click"])}
    rewards["conversion"] = ("ctcvr", arrays["click"] * arrays["conversion"])
    found = {}
    for name, (head, reward) in rewards.items():
        found[name] = value_policy(
            reward,
            weight,
            scores[head] if expected else None,
            expected.get(head),
            users,
            counts,
        )
        if policy.kind == "top":  # weights of mean 1 by their making, so in each draw, too
            intervals = {**found[name].intervals, "ips": found[name].intervals["snips"]}
            found[name] = replace(found[name], intervals=intervals)
    least = found["conversion"].effective_rows
    if policy.kind == "argmax" and least < FEWEST_EFFECTIVE_ROWS:
        raise ValueError(
            f"--policy: must be one that the log tells of, received argmax with an effective "
            f"sample size of {least:.1f}, below {FEWEST_EFFECTIVE_ROWS:g};\ntake softmax:T, or a "
            "longer log"
        )
    return found


def _days(schema: Schema, table: pa.Table) -> np.ndarray | None:
    """Returns each row's day in the schema's time zone; None without times."""
    name = row_time(schema, table.column_names)
    if name is None:
        return None
    zone = zones.offsets(schema.labels.time_zone)
    times = time_array(schema, table, name)[0] // per_second(schema.labels.time_unit)
    east = np.asarray(zone.seconds)[np.searchsorted(zone.changes, times, side="right")]
    days: np.ndarray = (times + east) // _DAY_SECONDS
    return days


def _choices(
    model: EntireSpaceModel,
    schema: Schema,
    table: pa.Table,
    arrays: Mapping[str, np.ndarray],
    candidates: pa.Table,
    policy: Policy,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Scores every candidate in every row's place.

    Returns:
        The policy's probability of the item that was shown, [rows], and its mean ctr and ctcvr
        over the candidates, [rows].
    """
    if schema.generated:
        raise ValueError(
            f"--policy: must be top:Q for a run with history, received {policy.name};\nwhat a user "
            "did before with each candidate is not in the rows"
        )
    items = tuple(f for f in schema.features if f.side == "item")
    item = find_items(schema, arrays)
    if item is None:
        raise ValueError(
            f"--policy: must be top:Q for a schema that tells no items apart, received "
            f"{policy.name};\nname an item feature with `side: item`"
        )
    known = to_arrays(schema.model_copy(update={"features": items}), candidates, labels=False)
    if not candidates.num_rows:
        raise ValueError(
            "--candidates: must hold at least one item, received none;\ngive the items that could "
            "be shown, one a row"
        )
    distinct, first = np.unique(known[item], return_index=True)
    if len(distinct) != candidates.num_rows:
        raise ValueError(
            f"--candidates: must hold each {item} once, received {candidates.num_rows:,} rows of "
            f"{len(distinct):,};\nkeep one row an item"
        )
    at = np.minimum(np.searchsorted(distinct, arrays[item]), len(distinct) - 1)
    listed = distinct[at] == arrays[item]
    if not listed.any():
        raise ValueError(
            f"--candidates: must hold items of the log, received no {item} that was shown;\n"
            "give the items that could be shown"
        )
    target, count = np.zeros(table.num_rows), candidates.num_rows
    expected = {head: np.zeros(table.num_rows) for head in ("ctr", "ctcvr")}
    step = max(1, _PAIRS // count)
    for start in range(0, table.num_rows, step):
        rows = np.arange(start, min(start + step, table.num_rows))
        found = predict(model, schema, _pairs(schema, table, candidates, rows))
        scores = {k: np.reshape(v, (len(rows), count)).astype(np.float64) for k, v in found.items()}
        ranked = scores[policy.head]
        chosen = argmax_policy(ranked)
        if policy.kind == "softmax":
            chosen = softmax_policy(ranked, policy.number)
        target[rows] = chosen[np.arange(len(rows)), first[at[rows]]] * listed[rows]
        for head, values in expected.items():
            values[rows] = (chosen * scores[head]).sum(1)
    return target, expected


def _pairs(schema: Schema, table: pa.Table, candidates: pa.Table, rows: np.ndarray) -> pa.Table:
    """Returns each of the rows with each candidate in its item's place."""
    here = pa.array(np.repeat(rows, candidates.num_rows))
    there = pa.array(np.tile(np.arange(candidates.num_rows), len(rows)))
    columns: dict[str, Any] = {}
    for feature in schema.features:
        held, at = (candidates, there) if feature.side == "item" else (table, here)
        for name, raw in ((feature.name, feature.source), (feature.weights_name, feature.weights)):
            source = next((n for n in (name, raw) if n in held.column_names), None)
            if source is not None:
                columns[name] = held[source].take(at)
    return pa.table(columns)
