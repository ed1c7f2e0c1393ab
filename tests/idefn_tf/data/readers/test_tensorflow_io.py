"""The tensorflow-io reader: the same batches where it can be trusted, a refusal elsewhere."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset, trusted_parquet
from idefn_tf.data.tensorflow_io_plugin import load_tensorflow_io
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


def values(made):
    """All rows of a dataset by column: features, labels, weight."""
    batches = list(made.as_numpy_iterator())
    columns = {n: np.concatenate([b[0][n] for b in batches]) for n in batches[0][0]}
    columns |= {n: np.concatenate([b[1][n] for b in batches]) for n in batches[0][1]}
    return columns


PAGES = {
    "dictionary": {"use_dictionary": True},
    "mixed": {"use_dictionary": True, "dictionary_pagesize_limit": 4096},
    "plain": {"use_dictionary": False},
}


@needs_io
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize("cache", [10_000, 10], ids=["held", "streamed"])
def test_every_row_has_its_own_values_whatever_the_pages(
    tmp_path, monkeypatch, pages, version, cache
):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    rows = 6000
    made = frame(rows).assign(city=[f"user_{i * 7:08d}" for i in range(rows)])
    made = made.assign(price=made["price"].astype(np.float32))
    table = pa.Table.from_pandas(made.assign(tags=[[1, 2]] * rows))  # lists stay unread
    pq.write_table(
        table, tmp_path / "a.parquet", data_page_size=4096, row_group_size=5000,
        data_page_version=version, **PAGES[pages],
    )  # fmt: skip
    found = values(open_dataset(schema(), tmp_path, batch_size=500, reader="tensorflow-io"))
    assert found["city"].tolist() == [f"user_{i * 7:08d}".encode() for i in range(rows)]
    for name in ("user", "small", "price", "click"):
        np.testing.assert_array_equal(found[name], made[name])


@needs_io
def test_text_past_a_dictionary_of_a_megabyte_with_the_writer_s_defaults(tmp_path):
    texts = [f"{i:05d}" + "x" * 200 for i in range(20_000)]
    frame(20_000).assign(city=texts).to_parquet(tmp_path / "a.parquet")
    encodings = pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(2).encodings
    assert "RLE_DICTIONARY" in encodings
    found = values(open_dataset(schema(), tmp_path / "a.parquet", reader="tensorflow-io"))
    assert found["city"].tolist() == [text.encode() for text in texts]


@needs_io
def test_what_must_be_converted_with_care_is_read_as_pyarrow_reads_it(tmp_path):
    made = frame(4).assign(user=[1.0, 2.0, 3.0, 4.0], city=[7, 8, 9, 10], click=[True, False] * 2)
    made.astype({"city": object}).assign(city=["a", None, "", "d"]).to_parquet(
        tmp_path / "a.parquet"
    )
    made.to_parquet(tmp_path / "b.parquet")
    for name in ("a", "b"):
        one, other = (
            values(open_dataset(schema(), tmp_path / f"{name}.parquet", reader=reader))
            for reader in ("pyarrow", "tensorflow-io")
        )
        for column in one:
            np.testing.assert_array_equal(one[column], other[column])
    assert other["city"].tolist() == [b"7", b"8", b"9", b"10"]
    assert other["user"].tolist() == [1, 2, 3, 4]


def test_nulls_and_lists_are_refused(tmp_path):
    with_null = frame().astype({"price": object})
    with_null.loc[7, "price"] = None
    with_null.astype({"price": float}).to_parquet(tmp_path / "null.parquet")
    with pytest.raises(
        ValueError, match=r"shifts the values past a null, and column 'price'.* 1 n"
    ):
        open_dataset(schema(), tmp_path / "null.parquet", reader="tensorflow-io")
    frame().assign(tags=[[1, 2]] * 100).to_parquet(tmp_path / "list.parquet")
    with pytest.raises(ValueError, match="plain numbers and text alone, and 'tags'"):
        open_dataset(schema(TAGS), tmp_path / "list.parquet", reader="tensorflow-io")
    frame().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="has no column 'tags'"):
        open_dataset(schema(TAGS), tmp_path / "a.parquet", reader="tensorflow-io")


def test_the_footer_decides_which_pages_tensorflow_io_may_read(tmp_path):
    for encodings in (("PLAIN", "RLE", "RLE_DICTIONARY"), ("RLE", "PLAIN"), ("PLAIN_DICTIONARY",)):
        trusted_parquet.check_encodings("a.parquet", "user", encodings)
    with pytest.raises(ValueError, match=r"'user' of a.parquet has NEW_ONE; use reader='pyarrow'"):
        trusted_parquet.check_encodings("a.parquet", "user", ("RLE", "NEW_ONE"))
    pq.write_table(  # tensorflow-io reads this file rightly
        pa.Table.from_pandas(frame()), tmp_path / "a.parquet", use_dictionary=False,
        column_encoding={"user": "DELTA_BINARY_PACKED"},
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"column 'user' of .* has DELTA_BINARY_PACKED"):
        open_dataset(schema(), tmp_path / "a.parquet", reader="tensorflow-io")


def test_a_sample_that_differs_is_refused_with_row_and_values():
    right = np.array([1.0, np.nan, 3.0])
    trusted_parquet.compare("a.parquet", "price", 512, right.astype(np.float32), right)
    with pytest.raises(
        ValueError, match=r"'price' of a.parquet differs from row 514 on.*9\.0.*3\.0"
    ):
        trusted_parquet.compare("a.parquet", "price", 512, np.array([1.0, np.nan, 9.0]), right)
    with pytest.raises(ValueError, match="received 2 values for 3"):
        trusted_parquet.compare("a.parquet", "price", 0, right[:2], right)
    assert trusted_parquet.spans(0) == []
    assert trusted_parquet.spans(768) == [(0, 768)]
    assert trusted_parquet.spans(1000) == [(0, 256), (372, 628), (744, 1000)]


@pytest.mark.skipif(LOADS, reason="tensorflow-io loads here")
def test_where_it_does_not_load_the_error_says_what_to_install(tmp_path):
    frame().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ImportError, match=r"tensorflow==2\.17\.1 tensorflow-io==0\.37\.1"):
        open_dataset(schema(), tmp_path / "a.parquet", reader="tensorflow-io")
