"""The simulated funnel: raw Parquet written by the simulator, read like any other data set.

::

    RAW/simulation.json             the options and the intercepts found
    RAW/exposures-00000.parquet     exposure_id, user_id, item_id, position, time_ms, day, click,
                                    conversion (click AND R*); with a law of delays (--delay) also
                                    click_time and conversion_time, null where there is none
    RAW/users.parquet, items.parquet
    RAW/oracle-00000.parquet        exposure_id, oracle_conversion (R*), oracle_probability (its
                                    true probability), and ctr, cvr, ctcvr: the probabilities
                                    where the hidden confounder is unknown, the best a model can do;
                                    with a law of delays also delay_scale, of the item

The times are those of a world without an end: `--as-of` says how much of it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from idefn_tf._files import read_json, write_json
from idefn_tf.schema import DType
from pipelines.cli.console import Console
from pipelines.datasets.simulated_funnel.funnel_world import Chunk, DelayedChunk, Options, World
from pipelines.datasets.simulated_funnel.observed_features import side_tables
from pipelines.preparation import card as cards
from pipelines.preparation import checks, encode, lookup_tables
from pipelines.preparation.checks import Report
from pipelines.preparation.engine import Engine
from pipelines.preparation.prepared_folder import Prepared, replacing
from pipelines.preparation.raw_log import Dataset, Exposures, Request
from pipelines.preparation.split import last_days, number

_FIRST_DAY = date(2024, 3, 1)
_SIMULATION = "simulation.json"
_FORM = 1  # rises with every change of what the same options give
_SIDES = {"user_id": "users.parquet", "item_id": "items.parquet"}
_LOG: dict[str, DType | None] = {
    "exposure_id": "int64",
    "user_id": "int64",
    "item_id": "int64",
    "position": "int64",
    "time_ms": "int64",
    "day": "int64",
    "click": "int64",
    "conversion": "int64",
}


def simulate(raw: Path, options: Options, console: Console | None = None) -> None:
    """Writes a raw folder; nothing is done where the same one is already there.

    Raises:
        ValueError: if `raw` exists and holds something else.
    """
    console = console or Console(quiet=True)
    if _is_current(raw, options):
        console.note(f"{raw} already holds this simulation")
        return
    with replacing(raw, mark=_SIMULATION) as building:
        world = World(options)
        users, items = side_tables(world)
        pq.write_table(users, building / "users.parquet")
        pq.write_table(items, building / "items.parquet")
        first = 0
        with console.progress(
            f"simulates {options.exposures:,} exposures", options.exposures
        ) as go:
            for i, chunk in enumerate(world.chunks()):
                log, oracle = _tables(chunk, first)
                pq.write_table(log, building / f"exposures-{i:05d}.parquet")
                pq.write_table(oracle, building / f"oracle-{i:05d}.parquet")
                first += log.num_rows
                go(log.num_rows)
        found = {"click": world.click_intercept, "conversion": world.conversion_intercept}
        value = {"form": _FORM, "options": options.as_json(), "intercepts": found}
        write_json(building / _SIMULATION, value | {"files": cards.listed(building)})
    console.wrote(raw, "(raw)")


def _tables(chunk: Chunk, first: int) -> tuple[pa.Table, pa.Table]:
    rows = len(chunk.user)
    day = _FIRST_DAY + timedelta(days=chunk.day)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    start = int(midnight.timestamp() * 1000)
    ids = np.arange(first, first + rows)
    log = {
        "exposure_id": ids,
        "user_id": chunk.user,
        "item_id": chunk.item,
        "position": chunk.position,
        "time_ms": start + np.floor(chunk.second * 1000).astype(np.int64),
        "day": np.full(rows, number(day)),
        "click": chunk.click.astype(np.int8),
        "conversion": (chunk.click & chunk.oracle_conversion).astype(np.int8),
        **_times(chunk, start),
    }
    oracle = {
        "exposure_id": ids,
        "oracle_conversion": chunk.oracle_conversion.astype(np.int8),
        **{
            name: getattr(chunk, name).astype(np.float32)
            for name in ("oracle_probability", "ctr", "cvr", "ctcvr", "delay_scale")
            if hasattr(chunk, name)
        },
    }
    return pa.table(log), pa.table(oracle)


def _times(chunk: Chunk, start: int) -> dict[str, pa.Array]:
    """Returns when clicks and conversions came, in milliseconds; nothing without a law."""
    if not isinstance(chunk, DelayedChunk):
        return {}
    shown = start + np.floor(chunk.second * 1000).astype(np.int64)
    clicked = shown + np.floor(chunk.click_seconds * 1000).astype(np.int64)
    converted = clicked + np.floor(chunk.delay * 86_400_000).astype(np.int64)
    both = chunk.click & chunk.oracle_conversion
    return {
        "click_time": pa.array(clicked, mask=~chunk.click),
        "conversion_time": pa.array(converted, mask=~both),
    }


def _is_current(raw: Path, options: Options) -> bool:
    try:
        value = read_json(raw / _SIMULATION)
    except (OSError, ValueError):
        return False
    same = (value.get("form"), value.get("options")) == (_FORM, options.as_json())
    return same and cards.complete(raw, value)


def sources(raw: Path, options: Mapping[str, Any]) -> list[Path]:
    """Lists the raw files.

    Raises:
        ValueError: if there are no exposures.
    """
    found = [p for stem in ("exposures", "oracle") for p in sorted(raw.glob(f"{stem}-*.parquet"))]
    if not any(path.name.startswith("exposures") for path in found):
        raise ValueError(
            f"--raw: {raw} must hold exposures-*.parquet; make it with "
            "python -m pipelines.prepare simulated-funnel"
        )
    return found + [raw / name for name in _SIDES.values() if (raw / name).is_file()]


def read(engine: Engine, request: Request, report: Report) -> Exposures:
    """Builds one row per exposure with its user's and its item's columns, and the oracle's."""
    files = request.files
    logs = [path for path in files if path.name.startswith("exposures")]
    oracles = [path for path in files if path.name.startswith("oracle")]
    raw = engine.read_all(logs)
    wanted = _LOG | dict.fromkeys(request.schema.labels.times, "int64")
    wanted |= encode.probability_column(request.schema)
    log = checks.typed(raw, wanted, logs[0].name, report)
    checks.unique_key(log, "exposure_id", logs[0].name, report)
    report.raise_if_failed()
    found = {key: path for key, name in _SIDES.items() for path in files if path.name == name}
    table, sides = lookup_tables.join(engine, log, found, _SIDES, request.schema, report)
    if oracles:
        oracle = engine.read_all(oracles)
        oracle = oracle.select("exposure_id", "oracle_conversion", "oracle_probability")
        table = table.left_join(oracle, "exposure_id").drop("exposure_id_right")
    table = table.mutate(row_id=table["exposure_id"])
    return Exposures(table, keys=("exposure_id",), sides=sides)


def ceiling(raw: Path, out: Path) -> dict[str, Any]:
    """Computes what no model can exceed: the AUC of the simulator's own probabilities, per part.

    Names are those of the evaluation spaces. `true` scores with the probability that R* was drawn
    from; the others score with what is known where the hidden confounder is not.
    """
    if not (raw / _SIMULATION).is_file() or not list(raw.glob("oracle-*.parquet")):
        return {}
    simulation = read_json(raw / _SIMULATION)
    columns = ("exposure_id", "oracle_conversion", "oracle_probability", "ctr", "cvr", "ctcvr")
    files = sorted(raw.glob("oracle-*.parquet"))
    oracle = pa.concat_tables([pq.read_table(file, columns=list(columns)) for file in files])
    known = {name: oracle[name].to_numpy() for name in columns}
    order = np.argsort(known["exposure_id"], kind="stable")
    prepared = Prepared(out)
    found = {}
    for part in prepared.parts:
        labels = prepared.table(part, ["row_id", "click", "conversion"])
        at = order[np.searchsorted(known["exposure_id"][order], labels["row_id"].to_numpy())]
        k = {name: values[at] for name, values in known.items()}
        click, conversion = (labels[name].to_numpy() for name in ("click", "conversion"))
        clicked = click == 1
        found[part] = {
            "oracle/cvr_auc_true": _auc(k["oracle_probability"], k["oracle_conversion"]),
            "oracle/cvr_auc": _auc(k["cvr"], k["oracle_conversion"]),
            "clicked/cvr_auc": _auc((k["ctcvr"] / k["ctr"])[clicked], conversion[clicked]),
            "all_funnel/ctr_auc": _auc(k["ctr"], click),
            "all_funnel/ctcvr_auc": _auc(k["ctcvr"], conversion),
        }
    return {
        "simulation": {"options": simulation["options"], "intercepts": simulation["intercepts"]},
        "ceiling": found,
    }


def _auc(score: np.ndarray, label: np.ndarray) -> float | None:
    """The chance that a positive scores above a negative, ties counted half."""
    positives = int(label.sum())
    if positives in (0, len(label)):
        return None
    _, rank, count = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    above = middle[rank][label == 1].sum() - positives * (positives + 1) / 2
    return round(float(above / (positives * (len(label) - positives))), 6)


SIMULATED_FUNNEL = Dataset(
    command="simulated-funnel",
    schema="simulated_funnel.yaml",
    sources=sources,
    read=read,
    auto_split=last_days,
    extra=ceiling,
)
