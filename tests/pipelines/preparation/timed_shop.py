"""A made shop whose exposures, clicks and conversions have times, and its preparation."""

import shutil

import pandas as pd
import pytest

from pipelines.datasets.registry import Settings, prepare
from pipelines.preparation.split import parse
from tests.idefn_tf.data.timed_rows import DAY, HOUR, START, timed_schema

ENGINES = [
    "duckdb",
    pytest.param(
        "spark",
        marks=[
            pytest.mark.spark,
            pytest.mark.slow,
            # PySpark leaves the sockets over which results come to the garbage collector
            pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
            pytest.mark.filterwarnings(
                "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
            ),
        ],
    ),
]
SPLIT = parse("train=2024-05-01..2024-05-04,validation=2024-05-05,test=2024-05-06..2024-05-07")
#: By user: hours from the exposure to the click, from there to the conversion.
FUNNEL = {1: (1, 1), 2: (1, 47), 3: (1, 71), 4: (2, None), 5: (None, None), 6: (30, 3)}


def schema(immature="keep", hours=72, **labels):
    return timed_schema(hours, immature=immature, **labels)


def frame(days=7):
    rows = []
    for day in range(days):
        shown = START + day * DAY
        for user, (wait, delay) in FUNNEL.items():
            clicked = None if wait is None else shown + wait * HOUR
            bought = None if delay is None else clicked + delay * HOUR
            flags = int(wait is not None), int(delay is not None)
            rows.append((user, shown, flags[0], clicked, flags[1], bought))
    names = ["user", "shown_at", "clicked", "clicked_at", "bought", "bought_at"]
    return pd.DataFrame(rows, columns=names).astype({"clicked_at": "Int64", "bought_at": "Int64"})


def prepared(folder, table=None, made=None, as_of=None, name="out", **options):
    raw = folder / "raw.parquet"
    (frame() if table is None else table).to_parquet(raw)
    options = {"split": SPLIT, **options}
    return prepare("table", raw, folder / name, schema=made or schema(), as_of=as_of, **options)


def rows_of(found, part):
    table = found.table(part).to_pandas()
    return (
        table.assign(day=(table["exposure_time"] - START) // DAY)
        .set_index(["day", "user"])
        .sort_index()
    )


def settings(engine):
    if engine == "spark":
        pytest.importorskip("pyspark", reason="PySpark is not installed (requirements/spark.in)")
        if shutil.which("java") is None:
            pytest.skip("there is no Java on PATH")
    return Settings(engine=engine, threads=2, memory="1GB")
