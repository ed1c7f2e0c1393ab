"""Data sets of one form share what TensorFlow traced; what a data set was made of goes with it."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.data import encode_dataset, open_dataset
from idefn_tf.data.generated_dataset import generated
from idefn_tf.schema import Schema

SCHEMA = Schema.parse(
    {
        "name": "s",
        "labels": {"click": "click", "conversion": "conversion"},
        "features": [{"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"}],
    }
)


class Doubled:
    """An encoder of one number, which does not change."""

    encodes_alike_for_life = True
    raw_names = ("price",)

    def encode(self, features):
        return {"rows": {}, "coefficients": {}, "numbers": 2.0 * features["price"][:, None]}


def frame(first, rows):
    labels = np.zeros(rows, np.int64)
    price = np.arange(first, first + rows, dtype=np.float32)
    return pd.DataFrame({"price": price, "click": labels, "conversion": labels})


def opened(how, encoder, first, rows=5):
    """A data set and what its numbers are multiplied by."""
    if how == "raw":
        return open_dataset(SCHEMA, frame(first, rows), batch_size=2)
    if how == "held":
        return open_dataset(SCHEMA, frame(first, rows), batch_size=2, encode=encoder)
    return encode_dataset(open_dataset(SCHEMA, frame(first, rows), batch_size=2), encoder)


def numbers(dataset):
    flat = [x["numbers"] if "numbers" in x else x["price"] for x, _, _ in dataset]
    return np.concatenate([part.numpy().ravel() for part in flat]).tolist()


@pytest.mark.parametrize(("how", "factor"), [("raw", 1.0), ("held", 2.0), ("encoded", 2.0)])
def test_a_second_data_set_of_one_form_traces_nothing_and_has_its_own_rows(how, factor, traces):
    encoder = Doubled()
    first = opened(how, encoder, 0)
    assert numbers(first) == [factor * i for i in range(5)]
    before = traces.count
    second = opened(how, encoder, 100, rows=7)
    assert numbers(second) == [factor * i for i in range(100, 107)]
    assert traces.count == before
    assert int(second.cardinality()) == 4
    assert numbers(first) == [factor * i for i in range(5)]
    assert second.element_spec == first.element_spec


def test_the_counter_counts_a_data_set_of_another_form(traces):
    before = traces.count
    signature = tf.TensorSpec([], tf.float64, "of another form")
    assert [float(x) for x in generated(signature, lambda: iter([1.5]))] == [1.5]
    assert traces.count > before


@pytest.mark.parametrize("how", ["raw", "held", "encoded"])
def test_rows_go_with_the_last_data_set_that_is_made_of_them(how):
    class Rows(list):
        """A list that can be watched."""

    def made():
        rows = Rows([1.0, 2.0, 3.0])
        signature = ({"price": tf.TensorSpec([None], tf.float32)},)
        dataset = generated(signature, lambda: (({"price": np.float32([x])},) for x in rows), 3)
        if how == "encoded":
            dataset = encode_dataset(dataset, Doubled())
        return weakref.ref(rows), dataset.take(2) if how == "held" else dataset

    rows, dataset = made()
    gc.collect()
    assert rows() is not None
    assert len(list(dataset)) == (2 if how == "held" else 3)
    del dataset
    gc.collect()
    assert rows() is None


def test_an_iterator_outlives_its_data_set():
    iterator = iter(open_dataset(SCHEMA, frame(0, 6), batch_size=2))
    gc.collect()
    assert [features["price"].numpy().tolist() for features, _, _ in iterator] == [
        [0.0, 1.0],
        [2.0, 3.0],
        [4.0, 5.0],
    ]


def test_a_data_set_that_was_deleted_is_named():
    source = generated(tf.TensorSpec([], tf.int64), lambda: iter([1, 2]))
    spec = source.element_spec
    alone = tf.data.experimental.from_variant(tf.data.experimental.to_variant(source), spec)
    assert [int(one) for one in alone] == [1, 2]
    del source
    gc.collect()
    with pytest.raises(tf.errors.InvalidArgumentError, match="keep what open_dataset returned"):
        list(alone)
