"""The tensorflow-io reader: the same batches where it can be trusted, a refusal elsewhere."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset
from idefn_tf.data.tensorflow_io import load_tensorflow_io
from idefn_tf.schema import Schema

try:
    load_tensorflow_io()
    LOADS = True
except ImportError:
    LOADS = False
needs_io = pytest.mark.skipif(not LOADS, reason="tensorflow-io does not load here")

FEATURES = [
    {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
    {"name": "small", "dtype": "int64", "side": "user", "kind": "identity", "num_buckets": 9},
    {"name": "city", "dtype": "string", "side": "user", "kind": "vocabulary"},
    {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"},
]
TAGS = {"name": "tags", "dtype": "int64", "side": "item", "kind": "vocabulary", "max_length": 2}


def schema(*more):
    labels = {"click": "click", "conversion": "conversion"}
    return Schema.parse({"name": "s", "labels": labels, "features": [*FEATURES, *more]})


def frame(rows=100):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user": rng.integers(0, 2**40, rows),
            "small": rng.integers(0, 9, rows).astype(np.int32),
            "city": rng.choice(["a", "ü b"], rows),
            "price": rng.normal(size=rows),
            "click": rng.integers(0, 2, rows),
            "conversion": rng.integers(0, 2, rows),
        }
    )


@needs_io
@pytest.mark.parametrize("options", [{}, {"shuffle": True, "seed": 3}, {"labels": False}])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cache", [1000, 10], ids=["held", "streamed"])
def test_the_same_batches_as_pyarrow(tmp_path, options, weighted, cache, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    for i in range(2):
        table = frame().iloc[i * 50 : i * 50 + 50]
        table = table.assign(sample_weight=0.5) if weighted else table
        table.to_parquet(tmp_path / f"{i}.parquet", row_group_size=20)
    made = [
        open_dataset(schema(), tmp_path, batch_size=16, reader=reader, **options)
        for reader in ("pyarrow", "tensorflow-io")
    ]
    assert [(s.shape, s.dtype) for s in tf.nest.flatten(made[0].element_spec)] == [
        (s.shape, s.dtype) for s in tf.nest.flatten(made[1].element_spec)
    ]
    one, other = ([tf.nest.flatten(e) for e in d.as_numpy_iterator()] for d in made)
    assert len(one) == len(other) == 7
    if options.get("shuffle") and cache < 100:  # each streams in an order of its own
        one, other = (
            [[np.sort(np.concatenate(c))] for c in zip(*d, strict=True)] for d in (one, other)
        )
    for mine, yours in zip(one, other, strict=True):
        for a, b in zip(mine, yours, strict=True):
            np.testing.assert_array_equal(a, b)


def test_nulls_and_lists_are_refused(tmp_path):
    with_null = frame().astype({"city": object})
    with_null.loc[7, "city"] = None
    with_null.to_parquet(tmp_path / "null.parquet")
    with pytest.raises(ValueError, match=r"shifts the values past a null, and column 'city'.* 1 n"):
        open_dataset(schema(), tmp_path / "null.parquet", reader="tensorflow-io")
    frame().assign(tags=[[1, 2]] * 100).to_parquet(tmp_path / "list.parquet")
    with pytest.raises(ValueError, match="flattens lists, and 'tags'"):
        open_dataset(schema(TAGS), tmp_path / "list.parquet", reader="tensorflow-io")
    with pytest.raises(ValueError, match="has no column 'tags'"):
        open_dataset(schema(TAGS), tmp_path / "null.parquet", reader="tensorflow-io")


@pytest.mark.skipif(LOADS, reason="tensorflow-io loads here")
def test_where_it_does_not_load_the_error_says_what_to_install(tmp_path):
    frame().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ImportError, match=r"tensorflow==2\.17\.1 tensorflow-io==0\.37\.1"):
        open_dataset(schema(), tmp_path / "a.parquet", reader="tensorflow-io")
