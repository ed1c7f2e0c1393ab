"""Other libraries on one small table: are the numbers right, and how long do they take.

``python -m benchmarks.history.rivals FOLDER``                   makes the table, runs this library
``RIVALS/bin/python benchmarks/history/rivals.py FOLDER``        runs those that are installed there
``python -m benchmarks.history --millions --rivals FOLDER/rivals.json``   takes them into the page

Rivals have an environment of their own (benchmarks/history/requirements.txt). Asked are exposures
and clicks of the user in the last day and ever, strictly before each exposure; some exposures share
user and time. A loop over the rows says what is right.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

_ROWS, _USERS, _DAYS, _DAY = 3_000, 60, 6, 86_400_000
_BEGIN = 1_714_521_600_000
_NAMES = ("exposures_1d", "clicks_1d", "exposures_all", "clicks_all")


def make(folder: Path) -> None:
    """Writes the table with what a loop finds."""
    rng = np.random.default_rng(0)
    # on the minute and few users, so that some share their time
    at = np.sort(rng.integers(0, _DAYS * 1440, _ROWS)) * 60_000 + _BEGIN
    rows = pd.DataFrame(
        {"user": rng.zipf(1.5, _ROWS) % _USERS, "at": at, "click": rng.integers(0, 2, _ROWS)}
    )
    found = []
    for user, now in zip(rows["user"].tolist(), rows["at"].tolist(), strict=True):
        past = rows[(rows["user"] == user) & (rows["at"] < now)]
        day = past[past["at"] >= now - _DAY]
        found.append([len(day), day["click"].sum(), len(past), past["click"].sum()])
    folder.mkdir(parents=True, exist_ok=True)
    rows.join(pd.DataFrame(found, columns=[*_NAMES])).to_parquet(folder / "rows.parquet")
    tied = int(rows.duplicated(["user", "at"], keep=False).sum())
    head = {"rows": _ROWS, "tied": tied, "windows": ["1 day", "all time"], "runs": []}
    (folder / "rivals.json").write_text(json.dumps(head), encoding="utf-8")


def ours(rows: pd.DataFrame) -> np.ndarray:
    """This library's `attach`."""
    from idefn_tf.history import attach
    from idefn_tf.schema import Schema

    counts = {
        "key": "user",
        "events": ["exposure", "click"],
        "measures": ["count"],
        "windows": ["1d", "all"],
    }
    schema = Schema.parse(
        {
            "name": "rivals",
            "features": [{"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
            "labels": {"click": "click", "conversion": "bought", "exposure_time": "at"},
            "history": {"aggregates": [counts]},
        }
    )
    found = attach(schema, rows.assign(bought=0))
    names = [f"user__{event}_count__{w}" for w in ("1d", "all") for event in ("exposure", "click")]
    return found[names].to_numpy()


def polars(rows: pd.DataFrame) -> np.ndarray:
    """Polars' rolling windows, closed on the left."""
    import polars as pl

    table = pl.from_pandas(rows).with_columns(
        pl.lit(1).alias("one"), pl.from_epoch("at", time_unit="ms").alias("moment")
    )
    asked = [
        pl.col(column).rolling_sum_by("moment", window_size=period, closed="left").over("user")
        for period in ("1d", "3650d")
        for column in ("one", "click")
    ]
    named = [e.fill_null(0).alias(n) for e, n in zip(asked, _NAMES, strict=True)]
    return table.sort("moment").select(named).to_numpy()


def polars_rows(rows: pd.DataFrame) -> np.ndarray:
    """Polars' running sums, less the row itself: the short way that is often written."""
    import polars as pl

    table = pl.from_pandas(rows)
    ever = [pl.int_range(pl.len()), pl.col("click").cum_sum() - pl.col("click")]
    found = table.select(e.over("user").alias(n) for e, n in zip(ever, "ab", strict=True))
    return np.concatenate([rows[["exposures_1d", "clicks_1d"]].to_numpy(), found.to_numpy()], 1)


def featuretools(rows: pd.DataFrame) -> np.ndarray:
    """Deep feature synthesis with a cutoff time for each row, itself left out."""
    import featuretools as ft

    moment = pd.to_datetime(rows["at"], unit="ms")
    log = rows[["user", "click"]].assign(moment=moment, number=np.arange(len(rows)))
    users = pd.DataFrame({"user": np.unique(rows["user"])})
    entities = ft.EntitySet()
    entities.add_dataframe(users, "users", index="user")
    entities.add_dataframe(log, "log", index="number", time_index="moment")
    entities.add_relationship("users", "user", "log", "user")
    asked = pd.DataFrame({"user": rows["user"], "time": moment})
    found = []
    for window in ("1 day", None):
        table, _ = ft.dfs(
            entityset=entities,
            target_dataframe_name="users",
            cutoff_time=asked.drop_duplicates(),
            agg_primitives=["count", "sum"],
            trans_primitives=[],
            training_window=window,
            include_cutoff_time=False,
            cutoff_time_in_index=True,
        )
        numbers = table[["COUNT(log)", "SUM(log.click)"]].fillna(0)
        found.append(numbers.loc[pd.MultiIndex.from_frame(asked)].to_numpy(float))
    return np.concatenate(found, axis=1)


_HOW = {
    "idefn_tf": (ours, "`attach`"),
    "polars": (polars, "`rolling_sum_by(closed='left').over(user)`, sorted first"),
    "polars, running sums": (polars_rows, "`cum_sum().over(user)` less the row, all time alone"),
    "featuretools": (featuretools, "`dfs`, a cutoff time a row, `include_cutoff_time=False`"),
}


def run(folder: Path, name: str, how: Callable[[pd.DataFrame], np.ndarray], said: str) -> None:
    """Runs one library, twice where that is quick, and keeps the better time."""
    rows = pd.read_parquet(folder / "rows.parquet")
    times: list[float] = []
    while len(times) < 2 and sum(times) < 30:
        begun = time.perf_counter()
        found = how(rows)
        times.append(time.perf_counter() - begun)
    expected = rows[[*_NAMES]].to_numpy()
    wrong = int((np.asarray(found) != expected).any(1).sum()) if len(found) == len(rows) else -1
    document = json.loads((folder / "rivals.json").read_text(encoding="utf-8"))
    result = {"name": name, "seconds": min(times), "wrong": wrong, "how": said}
    document["runs"] = [r for r in document["runs"] if r["name"] != name] + [result]
    (folder / "rivals.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(result, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Makes the table where it is not there, and runs what is installed."""
    folder = Path(arguments[0])
    if not (folder / "rows.parquet").is_file():
        make(folder)
    for name, (how, said) in _HOW.items():
        if importlib.util.find_spec(name.partition(",")[0]) is not None:
            run(folder, name, how, said)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
