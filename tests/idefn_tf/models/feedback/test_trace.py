"""TRACE: its weights give the gradient of Eq. 8 and 11, written down anew in float64."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.models.feedback import Clicks, TRACEFeedback

W, DAYS = 7.0, (0.5, 2.0, 5.0)
#: g_h and q_h of every click.
ARRIVED, BELIEVED = np.array([0.4, 0.7, 0.9]), np.array([0.25, 0.1, 0.02])


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def logit(p):
    return np.log(p / (1 - p))


def entropy(p):
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def states(y, e, d):
    """(seen, o_h) of every horizon, the window's end included."""
    ends = [*DAYS, W]
    return [(e >= t, bool(y and d <= t and e >= t)) for t in ends]


def horizon_weights(p, beta):
    """Eq. 6 at one row's own entropies."""
    g = [*ARRIVED, 1.0]
    after = [p * (1 - gh) / (1 - p * gh) for gh in g]  # the posterior of silence
    left = [(1 - p * gh) * entropy(q) if 0 < q < 1 else 0.0 for gh, q in zip(g, after, strict=True)]
    h = np.arange(1, 5)
    return np.exp(-h / 4) * np.exp(-beta * np.array(left) / max(left)) / (4 - h + 1)


def loss(s, at, y, e, d, beta, weight):
    """Eq. 8 with `weight` of Eq. 11, of one click; weights and gates as at the logit `at`."""
    p = sigmoid(s)
    g, seen = [*ARRIVED, 1.0], states(y, e, d)
    eta = horizon_weights(sigmoid(at), beta) * np.array([m for m, _ in seen])
    if not eta.any():
        return 0.0
    each = [
        -np.log(p * gh if o else (1 - p * gh))
        for gh, (_, o) in zip(g, seen, strict=True)
    ]  # fmt: skip
    total = float(np.dot(eta, each) / eta.sum())
    shown = [o for m, o in seen if m]
    if shown[-1] or len(shown) == 4:
        return total
    k = len(shown) - 1
    r, q = p * (1 - g[k]) / (1 - p * g[k]), BELIEVED[k]
    old = sigmoid(at) * (1 - g[k]) / (1 - sigmoid(at) * g[k])
    bits = np.log(2)
    gate = sigmoid(entropy(old) / bits) * sigmoid(1 - entropy(q) / bits) * sigmoid(1 - (k + 1) / 4)
    return total - weight * gate * (q * np.log(r) + (1 - q) * np.log(1 - r))


def given(rows, arrived=ARRIVED, believed=BELIEVED, **labels):
    s, y, e, d = (tf.constant(column, tf.float32) for column in zip(*rows, strict=True))
    count = len(rows)
    heads = {f"arrived_{i}": tf.fill([count], float(logit(g))) for i, g in enumerate(arrived)}
    heads |= {f"believed_{i}": tf.fill([count], float(logit(q))) for i, q in enumerate(believed)}
    return Clicks(y, s, {"elapsed": e, "conversion_delay": d, **labels}, heads)


#: (logit, conversion, elapsed, delay): silent at one, two, three horizons, closed, converted.
ROWS = [
    (-1.0, 0, 0.7, 0.0),
    (0.7, 0, 3.0, 0.0),
    (-3.0, 0, 6.0, 0.0),
    (2.0, 0, 8.0, 0.0),
    (-1.0, 1, 3.0, 0.3),
    (0.4, 1, 6.0, 1.1),
    (0.4, 1, 9.0, 6.0),
    (1.2, 1, 1.5, 1.0),  # known, but at no horizon yet: as silent as those that are to come
]


@pytest.mark.parametrize(("beta", "weight"), [(2.0, 0.1), (0.0, 0.0), (5.0, 1.0)])
def test_gradients_are_those_of_the_published_losses(beta, weight):
    trace = TRACEFeedback(DAYS, beta=beta, consistency=weight, window=W)
    found = trace.label_weights(given(ROWS))
    p = sigmoid(np.array([row[0] for row in ROWS]))
    gradient = found.negative.numpy() * p - found.positive.numpy() * (1 - p)
    for (s, *rest), value in zip(ROWS, gradient, strict=True):
        high, low = (loss(s + step, s, *rest, beta, weight) for step in (1e-6, -1e-6))
        assert value == pytest.approx((high - low) / 2e-6, rel=2e-5, abs=2e-7), (s, rest)
    np.testing.assert_allclose(found.positive + found.negative, 1.0)


def test_eq_6_by_hand():
    """p = .5, one free horizon with g = .5: C_1 is the greatest, C_2 = 0."""
    trace = TRACEFeedback((1.0,), beta=2.0, consistency=0.0, window=W)
    rows = given([(0.0, 1, 9.0, 3.0)], arrived=[0.5], believed=[0.1])
    first, last = np.exp(-0.5) * np.exp(-2) / 2, np.exp(-1)
    expected = (first * (1 / 3) + last * 1.0) / (first + last)
    assert float(trace.label_weights(rows).positive[0]) == pytest.approx(expected, rel=1e-6)


#: Conversions within (0, .5], (.5, 2], (2, 5], (5, 7] days, as ARRIVED says.
LAW = [(0.4, 0.2), (0.3, 1.0), (0.2, 3.0), (0.1, 6.0)]


@pytest.mark.parametrize("elapsed", [0.6, 2.5, 5.5, 7.0])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_true_rate_is_the_stationary_point_at_every_age(elapsed, weight):
    """The expected gradient over a law, exactly: 0 at the rate, and a sign beside it."""
    rate = 0.3
    believed = [rate * (1 - g) / (1 - rate * g) for g in ARRIVED]
    trace = TRACEFeedback(DAYS, consistency=weight, window=W)

    def pull(p):
        rows = [(logit(p), int(d <= elapsed), elapsed, d if d <= elapsed else 0) for _, d in LAW]
        found = trace.label_weights(given([*rows, (logit(p), 0, elapsed, 0)], believed=believed))
        chances = np.array([*(rate * share for share, _ in LAW), 1 - rate])
        return float(chances @ (found.negative.numpy() * p - found.positive.numpy() * (1 - p)))

    assert pull(rate) == pytest.approx(0, abs=3e-7)
    assert pull(0.4) > 0.01
    assert pull(0.2) < -0.01


def test_a_second_estimate_draws_the_posterior_of_silence():
    """At q = r nothing moves; a completer that believes more raises the label, within 0 and 1."""
    row = [(0.0, 0, 0.7, 0.0)]
    own = float(0.5 * 0.6 / (1 - 0.5 * 0.4))
    plain = TRACEFeedback(DAYS, consistency=0.0, window=W).label_weights(given(row)).positive
    for believed, sign in ((own, 0), (0.9, 1), (0.01, -1)):
        rows = given(row, believed=[believed] * 3)
        found = TRACEFeedback(DAYS, consistency=5.0, window=W).label_weights(rows).positive
        assert np.sign(np.round(float(found[0] - plain[0]), 6)) == sign
        assert 0.0 <= float(found[0]) <= 1.0


def test_a_click_before_the_first_horizon_weighs_nothing():
    found = TRACEFeedback(DAYS, window=W).label_weights(
        given([(0.0, 0, 0.4, 0.0), (0.0, 1, 0.4, 0.1)])
    )
    assert found.positive.numpy().tolist() == [0.0, 0.0]
    assert found.negative.numpy().tolist() == [0.0, 0.0]


def test_rows_of_a_stream():
    """A first row by its posterior, what follows by its certain label: half a click each."""
    rows = given(
        [(0.0, 0, 0.5, 0.0), (0.0, 1, 0.5, 0.2), (0.0, 1, 3.0, 3.0), (0.0, 0, 7.0, 0.0)],
        arrival=tf.constant([0.0, 0.0, 1.0, 2.0]),
    )
    trace = TRACEFeedback(DAYS, consistency=0.0, window=W)
    found = trace.sample_weights(rows)
    np.testing.assert_allclose(found.positive, [0.1875, 0.5, 0.5, 0], rtol=1e-6)  # .5 * .3 / .8
    np.testing.assert_allclose(found.negative, [0.3125, 0, 0, 0.5], rtol=1e-6)
    assert found.samples.numpy().tolist() == [2, 2, 2, 2]
    assert trace.wait == 0.5


def test_heads_learn_from_closed_windows():
    """Converted after a day, converted late, negative; the last is open and teaches nothing."""
    rows = given([(0.0, 1, 9.0, 1.0), (0.0, 1, 9.0, 6.0), (0.0, 0, 9.0, 0.0), (0.0, 0, 3.0, 0.0)])
    trace = TRACEFeedback(DAYS, window=W)
    (state, converted), (label, closed) = trace.head_losses(rows, rows.heads)
    assert converted.numpy().tolist() == [1, 1, 0, 0]
    assert closed.numpy().tolist() == [1, 1, 1, 0]
    g, q = ARRIVED, BELIEVED
    np.testing.assert_allclose(
        state[:2],
        [-np.mean([np.log(1 - g[0]), np.log(g[1]), np.log(g[2])]), -np.mean(np.log(1 - g))],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        label[:3],
        [-np.log(q[0]) / 3, -np.mean(np.log(q)), -np.mean(np.log(1 - q))],
        rtol=1e-5,
    )


def test_horizons_past_the_window_are_not_read():
    """A window of a day leaves half a day and its end."""
    short, cut = (TRACEFeedback(days, window=1.0) for days in (DAYS, DAYS[:1]))
    rows = [(0.3, 0, 0.7, 0.0), (0.3, 1, 1.5, 0.9), (0.3, 0, 1.5, 0.0)]
    all_heads = given(rows)
    few = given(rows, ARRIVED[:1], BELIEVED[:1])
    for one, other in zip(short.label_weights(all_heads), cut.label_weights(few), strict=True):
        assert one is None or one.numpy().tolist() == other.numpy().tolist()


@pytest.mark.parametrize("logits", [-60.0, 60.0])
def test_heads_and_logits_without_a_doubt_are_finite(logits):
    s, y, e, d = (tf.constant(c, tf.float32) for c in zip(*ROWS, strict=True))
    for sign in (-1.0, 1.0):
        heads = {name: tf.fill([len(ROWS)], sign * 60.0) for name in TRACEFeedback(DAYS).heads}
        clicks = Clicks(y, s * 0 + logits, {"elapsed": e, "conversion_delay": d}, heads)
        trace = TRACEFeedback(DAYS, window=W)
        found = trace.label_weights(clicks)
        with tf.GradientTape() as tape:
            tape.watch(heads)
            losses = trace.head_losses(clicks, heads)
            total = tf.add_n([tf.reduce_sum(value * rows) for value, rows in losses])
        assert np.isfinite(found.positive).all()
        for gradient in tape.gradient(total, heads).values():
            assert np.isfinite(gradient).all()


def test_horizons_that_cannot_be():
    for wrong in ((), (2.0, 1.0), (1.0, 1.0), (0.0, 1.0)):
        with pytest.raises(ValueError, match="horizons: must be"):
            TRACEFeedback(wrong)
    with pytest.raises(ValueError, match=r"feedback.horizons: must begin within the window of 7"):
        TRACEFeedback((7.0,), window=W).for_model()
    with pytest.raises(ValueError, match="attribution"):
        TRACEFeedback(DAYS).for_model()


def test_a_clone_keeps_its_settings():
    made = TRACEFeedback(DAYS, beta=1.0, consistency=0.3, window=W, units=(8,))
    clone = made.for_model()
    assert clone.get_config() == {**made.get_config(), "name": clone.name}
    assert clone.heads == made.heads
