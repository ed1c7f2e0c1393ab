"""AllNegative's click-and-conversion probability: the closed form, by hand and as an inverse."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.calibration import entire_space_cvr
from idefn_tf.models import Outputs


def outputs(ctr, cvr):
    def logit(p):
        return tf.constant(np.log(p) - np.log1p(-np.asarray(p)), tf.float32)

    rows = len(ctr)
    return Outputs(tf.zeros([rows, 9]), {"ctr": logit(ctr), "cvr": logit(cvr)}, {})


def test_the_click_is_counted_once_by_hand(make_model):
    scores = make_model("all_negative", alpha=0.8).predictions(outputs([0.5, 0.2], [0.4, 0.1]))
    # r (c + (1 - c) / 4): .4 (.5 + .125) and .1 (.2 + .2)
    np.testing.assert_allclose(scores["ctcvr"], [0.25, 0.04], rtol=1e-6)
    np.testing.assert_allclose(scores["cvr"], [0.4, 0.1], rtol=1e-6)


def test_at_alpha_one_half_the_cvr_is_the_click_and_conversion_itself(make_model):
    scores = make_model("all_negative", alpha=0.5).predictions(outputs([0.5, 0.2], [0.4, 0.1]))
    np.testing.assert_allclose(scores["ctcvr"], scores["cvr"], rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("name", ["all_negative", "idefn", "top_k_cvr"])
def test_it_undoes_the_optimum_of_eq_15(make_model, name, alpha):
    rng = np.random.default_rng(3)
    ctr, click_cvr = rng.uniform(0.01, 0.9, (2, 200))
    optimum = entire_space_cvr(click_cvr, ctr, alpha)
    scores = make_model(name, alpha=alpha).predictions(outputs(ctr, optimum))
    np.testing.assert_allclose(scores["ctcvr"], ctr * click_cvr, rtol=1e-4)


def test_no_conversion_without_a_click(make_model):
    scores = make_model("all_negative").predictions(outputs([0.01, 0.5], [0.9, 0.999]))
    assert (scores["ctcvr"].numpy() <= scores["ctr"].numpy()).all()


def test_the_product_is_there_for_who_wants_the_papers(make_model):
    model = make_model("all_negative", ctcvr="product")
    scores = model.predictions(outputs([0.5, 0.2], [0.4, 0.1]))
    np.testing.assert_allclose(scores["ctcvr"], [0.2, 0.02], rtol=1e-6)
    assert type(model).from_config(model.get_config()).ctcvr == "product"


def test_an_unknown_way_is_named(make_model):
    with pytest.raises(ValueError, match=r"ctcvr: must be one of .*closed_form.*product.*received"):
        make_model("all_negative", ctcvr="sum")
