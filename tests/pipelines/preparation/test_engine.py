"""The engine numbers rows as pandas sorts them, over several row groups and threads."""

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines.preparation.engine import Engine


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path, "500MB", 2) as opened:
        yield opened


def test_rows_are_numbered_as_another_library_sorts_them(engine):
    # DuckDB's row groups hold 122,880 rows: three of them, and few distinct times
    draw = np.random.default_rng(7)
    times, users = draw.integers(0, 50, 300_000), draw.permutation(300_000)
    absent = draw.random(300_000) < 0.1
    rows = pa.table({"user": users, "time": pa.array(times, mask=absent)})
    numbered = engine.numbered(ibis.memtable(rows), ["time", "user"], "at")
    found = numbered.filter(numbered["at"] % 3 == 0).order_by("user").to_pyarrow()
    wanted = pd.DataFrame({"user": users, "time": pd.array(times, "Int64")})
    wanted.loc[absent, "time"] = pd.NA
    wanted = wanted.sort_values(["time", "user"], na_position="last", ignore_index=True)
    wanted = wanted[wanted.index % 3 == 0].sort_values("user")
    assert found["user"].to_pylist() == wanted["user"].tolist()
    assert found["at"].to_pylist() == wanted.index.tolist()


@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row_are_numbered(engine, rows):
    table = ibis.memtable(pa.table({"time": pa.array([5][:rows], pa.int64())}))
    assert engine.numbered(table, ["time"], "at").to_pyarrow()["at"].to_pylist() == [0][:rows]
