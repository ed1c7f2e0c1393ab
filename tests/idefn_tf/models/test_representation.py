"""What rows are compared by: single parts, several side by side, a feature's neighbourhood."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.data import learn_vocabularies
from idefn_tf.features import FeatureColumns
from idefn_tf.features.field import Field
from idefn_tf.history import attach
from idefn_tf.models import Batch, Outputs
from idefn_tf.models.representation import Representation
from idefn_tf.schema import Schema
from tests.idefn_tf.conftest import SHOP

pytestmark = pytest.mark.usefixtures("one_by_one")


@pytest.fixture
def outputs():
    """Four rows: z of user (4), price (1), item (4); a hidden layer of 2; logits."""
    z = tf.reshape(tf.range(36, dtype=tf.float32), [4, 9])
    hidden = tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 2.0]])
    cvr = tf.constant([1.0, -1.0, 3.0, -3.0])
    return Outputs(z, {"ctr": cvr, "cvr": cvr}, {"ctr": 10.0 * hidden, "cvr": hidden})


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ("embeddings", np.arange(36.0).reshape(4, 9)),
        ("hidden", [[1, 0], [0, 1], [1, 1], [2, 2]]),
        ("hidden_ctr", [[10, 0], [0, 10], [10, 10], [20, 20]]),
        ("cvr", [[1], [-1], [3], [-3]]),
        (["price"], [[4], [13], [22], [31]]),
        ("item", np.arange(36.0).reshape(4, 9)[:, 5:]),
    ],
)
def test_a_part_alone_is_left_as_it_is(tiny_features, outputs, parts, expected):
    chosen = Representation(parts, tiny_features())
    np.testing.assert_array_equal(chosen(outputs), expected)
    assert chosen.width(2) == np.shape(expected)[1]


def test_parts_side_by_side_have_one_mean_squared_distance_from_their_mean(tiny_features, outputs):
    # cvr: mean 0, mean square 5. price: 4, 13, 22, 31: deviations -13.5 -4.5 4.5 13.5, mean
    # square 101.25
    found = np.asarray(Representation(["cvr", "price"], tiny_features())(outputs))
    np.testing.assert_allclose(found[:, 0], np.array([1, -1, 3, -3]) / np.sqrt(5), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], np.array([4, 13, 22, 31]) / np.sqrt(101.25), rtol=1e-6)


def test_a_part_that_is_the_same_everywhere_counts_nothing(tiny_features, outputs):
    outputs.logits["cvr"] = tf.constant([2.0, 2.0, 2.0, 2.0])
    found = np.asarray(Representation(["cvr", "price"], tiny_features())(outputs))
    np.testing.assert_array_equal(found[:, 0], 0)
    assert np.isfinite(found).all()


def test_one_row_is_finite(tiny_features):
    one = Outputs(tf.ones([1, 9]), {"cvr": tf.ones([1])}, {"cvr": tf.ones([1, 2])})
    found = np.asarray(Representation(["embeddings", "hidden", "cvr"], tiny_features())(one))
    assert found.shape == (1, 12)
    assert np.isfinite(found).all()


def test_no_gradient_flows_into_what_is_compared(tiny_features):
    z = tf.Variable(tf.random.normal([4, 9]))
    with tf.GradientTape() as tape:
        outputs = Outputs(z * 1.0, {"cvr": tf.reduce_sum(z, -1)}, {"cvr": z * 2.0})
        total = tf.reduce_sum(Representation(["hidden", "item", "cvr"], tiny_features())(outputs))
    assert tape.gradient(total, z) is None


@pytest.mark.parametrize("parts", ["nobody", ["item", "nobody"], []])
def test_an_unknown_part_is_named_with_those_that_exist(tiny_features, parts):
    with pytest.raises(ValueError, match=r"representation: .*'item'.*received"):
        Representation(parts, tiny_features())


@pytest.fixture(scope="module")
def with_past(shop):
    """The shop's layer with what a user did before as two counts beside the sequence."""
    past = {"aggregates": [{"key": "user", "events": ["click"], "measures": ["count", "rate"]}]}
    schema = Schema.parse({**SHOP, "history": past})
    rows = attach(schema, shop.log)
    return FeatureColumns.from_schema(schema, learn_vocabularies(schema, rows))


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("history", ["user__click_count__all", "user__click_rate__all"]),
        ("sequences", ["clicks__item", "clicks__brand", "clicks__gap"]),
    ],
)
def test_the_past_stands_for_its_columns_and_for_no_others(with_past, group, names):
    slices = with_past.field_slices()
    width = with_past.output_width
    rng = np.random.default_rng(0)
    z = tf.constant(rng.normal(size=(5, width)), tf.float32)
    outputs = Outputs(z, {}, {})
    chosen = Representation(group, with_past)
    np.testing.assert_array_equal(chosen(outputs), Representation(names, with_past)(outputs))
    assert chosen.width(7) == sum(slices[n].stop - slices[n].start for n in names)
    assert chosen.as_config() == group
    # columns of other features change nothing
    own = np.zeros(width, bool)
    for name in names:
        own[slices[name]] = True
    moved = Outputs(tf.where(own, z, z + 1.0), {}, {})
    np.testing.assert_array_equal(chosen(moved), chosen(outputs))


@pytest.mark.parametrize("group", ["history", "sequences"])
def test_without_a_past_there_is_nothing_to_compare_by(tiny_features, group):
    with pytest.raises(ValueError, match=rf"representation: must name .* received '{group}'"):
        Representation(group, tiny_features())


@pytest.mark.parametrize("name", ["hidden_ctr", "history", "sequences"])
def test_a_feature_of_a_words_name_is_meant_before_the_word(outputs, name):
    features = FeatureColumns(
        [
            Field("user", "identity", "int64", 4, known=20, table="user", side="user"),
            Field("price", "numeric", "float32", 1, table="price"),
            Field(name, "identity", "int64", 4, known=10, table=name, side="item"),
        ]
    )
    chosen = Representation(name, features)
    np.testing.assert_array_equal(chosen(outputs), outputs.z[:, 5:])
    assert chosen.width(2) == 4
    assert chosen.as_config() == name


def test_a_features_name_matches_within_its_neighbourhood(make_model):
    """Of eight unclicked rows, the four that share the converted row's item are relabelled."""
    model = make_model(
        "idefn", representation=["item"], kappa=0.5, transport={"epsilon": 0.05, "capacity": 4}
    )
    model.build()
    item = tf.constant([3, 5, 3, 3, 3, 3, 1, 2, 4, 6])
    rows = {"user": tf.range(10), "item": item, "price": tf.zeros(10)}
    z = model.features(model.features.encode(rows))
    outputs = model.forward(z, training=False)
    click = tf.constant([1.0, 1.0] + [0.0] * 8)
    conversion = tf.constant([1.0, 0.0] + [0.0] * 8)
    labels = model.match(outputs, Batch(click, conversion, tf.ones(10))).labels
    np.testing.assert_array_equal(labels, [0, 0, 1, 1, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("parts", ["hidden", ["user", "cvr"]])
def test_the_config_keeps_what_was_asked_for(make_model, parts):
    model = make_model("idefn", representation=parts)
    again = type(model).from_config(model.get_config())
    assert again.get_config()["representation"] == parts
    again.build()
