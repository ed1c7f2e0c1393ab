"""Labels and weights of a data set of one's own are held to the rules of `open_dataset`."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.data import encode_dataset
from idefn_tf.data.label_checks import check_labels


class Prices:
    """An encoder of one number."""

    raw_names = ("price",)

    def encode(self, features):
        return {"rows": {}, "coefficients": {}, "numbers": features["price"][:, None]}


def own(labels, *weight):
    """Eight rows in two batches, encoded in the pipeline."""
    given = ({"price": np.arange(8, dtype=np.float32)}, labels, *weight)
    return encode_dataset(tf.data.Dataset.from_tensor_slices(given).batch(4), Prices())


@pytest.fixture
def labels():
    """Two clicks, a conversion."""
    return {
        "click": np.array([1, 0, 0, 0, 0, 1, 0, 0], np.float32),
        "conversion": np.array([1, 0, 0, 0, 0, 0, 0, 0], np.float32),
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("click", -1, r"label column .*click.* must hold 0 and 1, received"),
        ("conversion", 0.5, r"label column .*conversion.* must hold 0 and 1, received"),
        ("click", np.nan, r"label column .*click.* must hold 0 and 1, received"),
        (None, -1, r"sample_weight must be 0 or more, received"),
        (None, np.nan, r"sample_weight must be 0 or more, received"),
    ],
)
def test_the_batch_that_breaks_a_rule_is_refused(labels, name, value, said):
    weight = np.ones(8, np.float32)
    (weight if name is None else labels[name])[6] = value
    batches = iter(own(labels, weight))
    assert next(batches)[0]["numbers"].shape == (4, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        next(batches)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_])
def test_labels_of_every_dtype_pass_as_they_are(labels, dtype):
    typed = {name: values.astype(dtype) for name, values in labels.items()}
    found = [batch[1]["click"].numpy() for batch in own(typed)]
    assert np.concatenate(found).tolist() == typed["click"].tolist()
    assert found[0].dtype == dtype


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"elapsed": tf.constant([1.0, -0.5])}, "days since the click, 0 or more"),
        ({"conversion_delay": tf.constant([np.nan])}, "days from the click"),
        ({"conversion_final": tf.constant([2.0])}, "'conversion_final' must hold 0 and 1"),
    ],
)
def test_labels_of_delays_have_rules_of_their_own(labels, said):
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        check_labels(labels)


def test_other_forms_and_other_names_have_no_rule():
    assert check_labels() == []
    assert check_labels(tf.constant([-1.0])) == []
    assert check_labels({"watch_time": tf.constant([-1.0])}) == []
