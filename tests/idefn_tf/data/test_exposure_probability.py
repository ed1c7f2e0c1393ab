"""Exposure probabilities: column, constant, their range, and that no batch holds them."""

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import exposure_probabilities, open_dataset, read_table
from idefn_tf.schema import Schema

USER = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}


def schema(given, **feature):
    labels = {"click": "c", "conversion": "b", "exposure_probability": given}
    return Schema.parse({"name": "shop", "labels": labels, "features": [USER | feature]})


def rows(values, name="p"):
    count = len(values)
    return read_table(
        pd.DataFrame({"user": range(count), "c": [1] * count, "b": [0] * count, name: values})
    )


def test_a_column_a_constant_and_the_prepared_name():
    assert exposure_probabilities(schema("p"), rows([0.5, 1.0, 1e-6])) == pytest.approx(
        [0.5, 1.0, 1e-6]
    )
    assert exposure_probabilities(schema("p"), rows(["0.5", " 1 "])).tolist() == [0.5, 1.0]
    prepared = rows([0.25], "exposure_probability")
    assert exposure_probabilities(schema("p"), prepared).tolist() == [0.25]
    assert exposure_probabilities(schema(0.3), rows([9.0, 9.0])).tolist() == [0.3, 0.3]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.5, 0.0, 0.0], r"received 0 in row 11 \(2 of 3 rows\)"),
        ([0.5, 1.5], r"received 1.5 in row 11 \(1 of 2 rows\)"),
        ([0.5, -0.1], "received -0.1 in row 11"),
        ([None, 0.5], "received a missing value in row 10"),
        ([np.nan, 0.5], "received a missing value in row 10"),
        (["often", "0.5"], "received 'often' in row 10"),
    ],
)
def test_what_is_no_probability_is_told_with_row_column_and_cure(values, said):
    with pytest.raises(ValueError, match=said) as told:
        exposure_probabilities(schema("p"), rows(values), first_row=10)
    assert "column 'p' must hold probabilities above 0 and at most 1" in str(told.value)
    assert "write the probability with which the row was shown, or leave out" in str(told.value)


def test_without_a_name_or_without_the_column():
    with pytest.raises(ValueError, match=r"labels\.exposure_probability: must be the column"):
        exposure_probabilities(schema(None), rows([0.5]))
    with pytest.raises(ValueError, match="must hold the column 'pp' of labels"):
        exposure_probabilities(schema("pp"), rows([0.5]))


@pytest.mark.parametrize(
    "feature", [{"name": "p"}, {"column": "p"}, {"name": "exposure_probability"}]
)
def test_it_is_never_a_feature(feature):
    with pytest.raises(ValueError, match="can never be a feature"):
        schema("p", **feature)


def test_it_is_no_sum_of_history_either():
    plain = schema("p").model_dump(mode="json", exclude_defaults=True)
    plain["labels"]["exposure_time"] = "at"
    plain["history"] = {
        "aggregates": [{"key": "user", "events": ["click"], "measures": ["sum"], "value": "p"}]
    }
    with pytest.raises(ValueError, match=r"value: must not be labels\.exposure_prob"):
        Schema.parse(plain)
    plain["history"]["aggregates"][0]["value"] = "price"
    assert Schema.parse(plain).generated


def test_a_folder_made_before_keeps_a_feature_of_that_name():
    plain = schema(None).model_dump(mode="json", exclude_defaults=True)
    plain["features"][0]["name"] = "exposure_probability"
    with pytest.raises(ValueError, match="can never be a feature"):
        Schema.parse(plain)
    assert Schema.parse(plain, kept=True).features[0].name == "exposure_probability"


def test_a_batch_does_not_hold_it():
    features, labels, _ = next(iter(open_dataset(schema("p"), rows([0.5, 0.5]), batch_size=2)))
    assert set(features) == {"user"}
    assert set(labels) == {"click", "conversion"}
