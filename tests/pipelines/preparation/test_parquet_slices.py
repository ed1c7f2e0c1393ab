"""Writing slices: what ends it early frees the engine."""

import threading
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.preparation.engine import Engine
from pipelines.preparation.parquet_slices import Slices

SCHEMA = Schema.model_validate(
    {
        "name": "tiny",
        "labels": {"click": "click", "conversion": "bought"},
        "features": [{"name": "item", "dtype": "int64", "side": "item", "kind": "hash",
                      "num_buckets": 9}],
    }
)  # fmt: skip


class Interrupted(Console):
    """Ctrl-C comes once the first rows are written."""

    @contextmanager
    def progress(self, text, total=None):
        def advance(amount):
            raise KeyboardInterrupt

        yield advance


def test_an_interrupt_ends_the_reading_thread_before_the_engine(tmp_path):
    n = 200_000
    columns = {name: pa.array([0] * n) for name in ("item", "click", "bought")}
    table = pa.table({**columns, "row_id": pa.array(range(n)), "part": ["train"] * n})
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "work").mkdir()
    with pytest.raises(KeyboardInterrupt) as kept, Engine(tmp_path / "work") as engine:  # noqa: PT012
        rows = engine.read_all([tmp_path / "rows.parquet"])
        slices = Slices(engine, rows, [], SCHEMA, 50_000)
        try:
            slices.write(tmp_path / "out", ["train"], 1000, Interrupted())
        finally:
            left = [t for t in threading.enumerate() if t.name.startswith("read-ahead")]
    assert kept.value.__traceback__ is not None  # its frames are still held
    assert left == []
