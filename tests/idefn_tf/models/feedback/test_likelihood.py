"""Label likelihoods against values worked out by hand, and what must hold of all of them."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.models import feedback
from idefn_tf.models.feedback import FEEDBACKS, Clicks

#: sigmoid(-1), the rate at which the papers' weights are worked out below.
P = 1 / (1 + np.e)
FAR = 1e9


def f32(values):
    return tf.constant(values, tf.float32)


def clicks(y, logit=-1.0, heads=(), **labels):
    """Clicked rows; elapsed days and the others by name, one number standing for all rows."""
    rows = len(y)
    whole = {k: f32(np.broadcast_to(v, rows).copy()) for k, v in labels.items()}
    outputs = {k: tf.fill([rows], float(v)) for k, v in dict(heads).items()}
    return Clicks(f32(y), tf.fill([rows], float(logit)), whole, outputs)


def pairs(likelihood, rows, published=True):
    """[(a, b)] of every row: the published weights, or shares of one click."""
    found = likelihood.sample_weights(rows)
    scale = 1.0 if found.samples is None or not published else found.samples.numpy()
    return np.stack([found.positive * scale, found.negative * scale], 1)


def make(name, **options):
    cls = FEEDBACKS[name]
    if issubclass(cls, feedback.WindowedLikelihood):
        options.setdefault("window", 7)
    return cls(**options)


def test_fnw_weighs_samples_as_the_paper_does():
    found = pairs(make("fnw"), clicks([1, 0]))
    np.testing.assert_allclose(found[0], [1.268941, 0.731059 * 1.268941], rtol=1e-5)
    np.testing.assert_allclose(found[1], [0, 0.731059 * 1.268941], rtol=1e-5)
    gradients = found[:, 1] * P - found[:, 0] * (1 - P)  # of a softplus(-s) + b softplus(s)
    np.testing.assert_allclose(gradients, [-0.678, 0.249], atol=1e-3)


def test_fnw_as_shares_of_one_click():
    np.testing.assert_allclose(
        pairs(make("fnw"), clicks([1, 0]), published=False), [[1, 1 - P], [0, 1 - P]], rtol=1e-6
    )


def test_waiting_leaves_out_every_row_of_an_open_window():
    rows = clicks([1, 0, 1, 0], elapsed=[6.9, 6.9, 7.0, 9.0])
    assert pairs(make("wait"), rows).tolist() == [[0, 0], [0, 0], [1, 0], [0, 1]]


def test_weighing_by_the_share_that_has_arrived():
    rows = clicks([0, 0, 0, 1], elapsed=[0.0, 2.0, 7.0, 0.5])
    share = (1 - np.exp(-1)) / (1 - np.exp(-3.5))
    expected = [[0, 0], [0, share], [0, 1], [1, 0]]
    np.testing.assert_allclose(pairs(make("weigh", mean_delay=2), rows), expected, rtol=1e-6)


def test_es_dfm_weighs_samples_as_the_paper_does():
    """Immediate, delayed, silent, and one younger than the wait; p_dp = P, p_rn = 1 - P."""
    heads = {"delayed_positive": -1, "real_negative": 1}
    rows = clicks(
        [1, 1, 0, 1], heads=heads, elapsed=[5, 5, 5, 0.05], conversion_delay=[0.1, 0.2, 0, 0.01]
    )
    likelihood = make("es_dfm", wait=0.1)
    one, two = 1 + P, (1 + P) * (1 - P)
    np.testing.assert_allclose(
        pairs(likelihood, rows), [[one, 0], [one, two], [0, two], [0, 0]], rtol=1e-6
    )
    np.testing.assert_allclose(
        pairs(likelihood, rows, published=False),
        [[1, 0], [1, 1 - P], [0, 1 - P], [0, 0]],
        rtol=1e-6,
    )


def test_es_dfm_trains_its_heads_on_closed_windows():
    """Kinds: immediate, delayed, real negative; the fourth is open and teaches nothing."""
    rows = clicks([1, 1, 0, 0], elapsed=[8, 8, 8, 1], conversion_delay=[0.05, 3, 0, 0])
    logits = {"delayed_positive": f32([0.5] * 4), "real_negative": f32([-0.2] * 4)}
    (delayed, of), (negative, among) = make("es_dfm", wait=0.1).head_losses(rows, logits)
    yes, no = np.log1p(np.exp(-0.5)), np.log1p(np.exp(0.5))
    np.testing.assert_allclose(delayed[:3], [no, yes, no], rtol=1e-6)
    assert of.numpy().tolist() == [1, 1, 1, 0]
    np.testing.assert_allclose(
        negative[1:3], [np.log1p(np.exp(-0.2)), np.log1p(np.exp(0.2))], rtol=1e-6
    )
    assert among.numpy().tolist() == [0, 1, 1, 0]


def test_defuse_weighs_four_kinds_of_samples():
    """As es_dfm's rows above: a delayed one of one row a click is a fake negative, too."""
    heads = {"delayed_positive": -1, "real_negative": 1}
    rows = clicks(
        [1, 1, 0, 1], heads=heads, elapsed=[5, 5, 5, 0.05], conversion_delay=[0.1, 0.2, 0, 0.01]
    )
    expected = [[1 + P, 0], [1 + P * P, (1 - P) * (1 + P)], [P * P, (1 - P) * (1 + P)], [0, 0]]
    np.testing.assert_allclose(pairs(make("defuse", wait=0.1), rows), expected, rtol=1e-6)


def test_fnc_learns_duplicates_and_corrects_what_is_predicted():
    assert pairs(make("fnc"), clicks([1, 0])).tolist() == [[1, 1], [0, 1]]
    q = 0.3 / 1.3  # of 13 samples of ten clicks three are positive
    found = make("fnc").corrected(f32([np.log(q / (1 - q)), 5.0]))
    np.testing.assert_allclose(found, [0.3, 1.0], rtol=1e-6)


def test_defer_weighs_two_samples_a_click():
    """p_dp .1: closed immediate, delayed, closed negative, open silent."""
    heads = {"delayed_positive": np.log(0.1 / 0.9)}
    rows = clicks([1, 1, 0, 0], heads=heads, elapsed=[9, 3, 9, 3], conversion_delay=[0.01, 2, 0, 0])
    of_positive, of_negative = P / (P - 0.05), (1 - P) / (1 - P + 0.05)
    expected = [
        [2 * of_positive, 0],
        [of_positive, of_negative],
        [0, 2 * of_negative],
        [0, of_negative],
    ]
    np.testing.assert_allclose(pairs(make("defer", wait=0.1), rows), expected, rtol=1e-5)


def test_a_delayed_positive_is_no_likelier_than_a_conversion():
    """A head above p would make the positive weight negative or infinite."""
    rows = clicks([1, 0], heads={"delayed_positive": FAR}, elapsed=9.0, conversion_delay=0.01)
    found = pairs(make("defer", wait=0.1), rows)
    np.testing.assert_allclose(found[0, 0], 2 * P / (0.5 * P), rtol=1e-6)
    np.testing.assert_allclose(found[1, 1], 2 * (1 - P) / (1 - 0.5 * P), rtol=1e-6)


ARRIVED = {"elapsed": 9.0, "conversion_delay": [0.02, 0.03, 0, 0], "conversion_final": [1, 1, 0, 0]}


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("observed", {}),
        ("wait", {}),
        ("weigh", {}),
        ("es_dfm", {"delayed_positive": -FAR, "real_negative": FAR}),
        ("defer", {"delayed_positive": -FAR}),
        ("dfm", {"hazard": 0.3}),
    ],
)
def test_where_everything_has_arrived_weights_are_the_oracles(name, heads):
    """Bit by bit."""
    rows = clicks([1, 1, 0, 0], heads=heads, **ARRIVED)
    oracle = pairs(make("oracle"), rows)
    assert oracle.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    options = {"wait": 0.1} if name in ("es_dfm", "defer") else {}  # longer than every delay
    found = make(name, **options).sample_weights(rows)
    if found is None:  # the label as it is
        found = feedback.Weights(rows.conversion, 1 - rows.conversion)
    np.testing.assert_array_equal(found.positive, oracle[:, 0])
    np.testing.assert_array_equal(found.negative, oracle[:, 1])


#: (likelihood, y, arrival) -> what the row weighs in a stream, as shares of one click.
STREAM = {
    "observed": {(0, 0): (0, 1), (1, 1): (1, 0), (0, 2): (0, 0), (1, 0): (1, 0)},
    "oracle": {(0, 0): (1, 0), (1, 1): (0, 0), (0, 2): (0, 0)},  # final label 1
    "wait": {(0, 0): (0, 0), (1, 1): (1, 0), (0, 2): (0, 1), (1, 2): (0, 0), (1, 0): (1, 0)},
    "fnw": {(0, 0): (0, 1 - P), (1, 1): (1, 0), (0, 2): (0, 0), (1, 0): (1, 1 - P)},
    "es_dfm": {(0, 0): (0, 1 - P), (1, 1): (1, 0), (0, 2): (0, 0), (1, 0): (1, 1 - P)},
    "defuse": {
        (0, 0): (P * P / (1 + P), 1 - P),
        (1, 1): (1 / (1 + P), 0),
        (1, 0): ((1 + P * P) / (1 + P), 1 - P),
    },
    "fnc": {(0, 0): (0, 1), (1, 1): (1, 0), (0, 2): (0, 0), (1, 0): (1, 1)},
    "defer": {(0, 0): (0, 0.5), (1, 1): (0.5, 0), (0, 2): (0, 0.5), (1, 2): (0.5, 0)},
    "dfm": {(1, 1): (0.5, 0), (1, 0): (0.5, 0)},
}


@pytest.mark.parametrize("name", sorted(STREAM))
def test_rows_of_a_stream_are_single_samples(name):
    """First, late and revisited rows two days after the click, with a delay above the wait."""
    heads = {"delayed_positive": -1, "real_negative": 1, "hazard": 0}
    if name == "defer":
        heads["delayed_positive"] = -FAR
    for (y, arrival), expected in STREAM[name].items():
        rows = clicks(
            [y], heads=heads, elapsed=2.0, conversion_delay=1.0, conversion_final=1.0,
            arrival=float(arrival),
        )  # fmt: skip
        found = pairs(make(name), rows, published=False)
        np.testing.assert_allclose(found, [expected], rtol=1e-6, err_msg=f"{y}, {arrival}")


def test_weighing_refuses_a_stream():
    with pytest.raises(ValueError, match=r"arrival: must be left out for feedback 'weigh'"):
        make("weigh").sample_weights(clicks([0], elapsed=1.0, arrival=0.0))


@pytest.mark.parametrize("name", sorted(FEEDBACKS))
def test_weights_are_finite_at_any_logit(name):
    for logit in (0.0, 40.0, -40.0, 120.0, -120.0):
        for head in (0.0, 120.0, -120.0, FAR, -FAR):
            likelihood = make(name)
            heads = dict.fromkeys(likelihood.heads, head)
            rows = clicks(
                [1, 1, 0, 0, 0], logit, heads, elapsed=[9, 0, 0, 6.9999995, 9],
                conversion_delay=[7, 0, 0, 0, 0], conversion_final=[1, 1, 0, 1, 0],
            )  # fmt: skip
            found = likelihood.sample_weights(rows)
            for values in found or ():
                assert values is None or np.all(np.isfinite(values)), (logit, head)
            for values, _ in likelihood.head_losses(rows, rows.heads):
                assert np.all(np.isfinite(values)), (logit, head)


def test_a_name_a_likelihood_or_nothing():
    assert isinstance(feedback.get(None), feedback.ObservedFeedback)
    fnw = feedback.get("fnw")
    assert feedback.get(fnw) is fnw
    with pytest.raises(ValueError, match=r"feedback: must be one of \[.*'fnw'.*received 'fwn'"):
        feedback.get("fwn")
    with pytest.raises(ValueError, match=r"feedback\.window: must be the length"):
        feedback.get("wait").for_model()
    with pytest.raises(ValueError, match=r"window: must be .* above 0 or none, received -1"):
        feedback.WaitFeedback(window=-1)


@pytest.mark.parametrize("name", sorted(FEEDBACKS))
def test_config_round_trip(name):
    likelihood = make(name)
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(likelihood)))
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is type(likelihood)
    assert again.get_config() == likelihood.get_config()
    clone = likelihood.for_model()
    assert clone is not likelihood
    assert clone.get_config() == likelihood.get_config()
