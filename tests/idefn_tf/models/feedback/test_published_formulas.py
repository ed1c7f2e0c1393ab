"""Every likelihood against its published loss, written down anew in float64 NumPy, row by row."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.losses import cross_entropy
from idefn_tf.models import Batch, feedback
from idefn_tf.models.feedback import FEEDBACKS
from idefn_tf.models.label_samples import label_samples

W, WAIT, MEAN, HAZARD = 7.0, 0.1, 2.0, 0.5
#: TRACE's share of conversions that have come after WAIT and after a day.
ARRIVED = (0.6, 0.6)
RATE, EARLY = 0.3, 0.6
P_DP, P_RN = 0.04, 0.8
NAMES = sorted(FEEDBACKS)
#: (logit, y, final, elapsed, delay): immediate, delayed, real negatives, open ones, and too young.
CLICKS = [
    (-1.0, 1, 1, 9.0, 0.05),
    (0.7, 1, 1, 9.0, 2.0),
    (-2.0, 0, 0, 9.0, 0.0),
    (1.3, 0, 1, 3.0, 0.0),
    (-0.4, 1, 1, 4.0, 1.5),
    (-3.0, 0, 0, 0.05, 0.0),
]


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def trace(p, y, e, d):
    """Posteriors of two horizons and the window's end, Eq. 6 and 11 of that paper."""
    ends, g, q = [WAIT, 1.0, W], [*ARRIVED, 1.0], [after(p, share) for share in ARRIVED]
    came = [bool(y) and d <= t for t in ends]
    seen = np.array([e >= t for t in ends])
    if not seen.any():
        return 0.0, 0.0
    r = [1.0 if o else after(p, share) for o, share in zip(came, g, strict=True)]
    entropy = np.array([(1 - p * s) * bits(after(p, s)) for s in g])
    h = np.arange(1, 4)
    eta = seen * np.exp(-h / 3 - 2 * entropy / entropy.max()) / (4 - h)
    a = np.dot(eta, r) / eta.sum()
    k = seen.sum() - 1
    if k < 2 and not came[k]:
        believed = after(RATE, ARRIVED[k])
        gate = sigmoid(bits(q[k])) * sigmoid(1 - bits(believed)) * sigmoid(1 - (k + 1) / 3)
        a += 0.1 * gate * (believed - q[k])
    return a, 1 - a


def after(p, share):
    """The posterior of a conversion where a share of them would have come and has not."""
    return p * (1 - share) / (1 - p * share)


def bits(p):
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p) if 0 < p < 1 else 0.0


def published(name, s, y, final, e, d):
    """(weight as a positive, weight as a negative) of one row a click, all of its samples."""
    p, fast, old, sampled = sigmoid(s), y and d <= WAIT, e >= W, e >= WAIT
    if name == "observed":
        return y, 1 - y
    if name == "oracle":
        return final, 1 - final
    if name == "wait":
        return y * old, (1 - y) * old
    if name == "weigh":
        share = 1.0 if old else (1 - np.exp(-e / MEAN)) / (1 - np.exp(-W / MEAN))
        return y, (1 - y) * share
    if name == "fnw":  # a negative at once, a positive beside it
        return y * (1 + p), (1 - p) * (1 + p)
    if name == "fnc":
        return y, 1
    if name == "es_dfm":
        return y * sampled * (1 + P_DP), (not fast) * sampled * (1 + P_DP) * P_RN
    if name == "defuse":
        z = 1 - P_RN
        fake = (not fast) * z * P_DP  # seen as a negative first
        positive = (1 + P_DP) * fast + (y and not fast) + fake
        return sampled * positive, sampled * (not fast) * (1 - z) * (1 + P_DP)
    if name == "defer":  # early, then by the certain label
        of_positive, of_negative = p / (p - P_DP / 2), (1 - p) / (1 - p + P_DP / 2)
        certain = sampled * (old or (y and not fast))
        positive = sampled * fast + certain * y
        negative = sampled * (not fast) + certain * (1 - y)
        return positive * of_positive, negative * of_negative
    if name == "trace":
        return trace(p, y, e, d)
    silent = 0.0 if old else np.exp(-HAZARD * e) - np.exp(-HAZARD * W)
    left = silent / (1 - np.exp(-HAZARD * W))
    q = 1.0 if y else p * left / (1 - p + p * left)  # dfm: the posterior of a conversion
    return q, 1 - q


def make(name):
    cls, options = FEEDBACKS[name], {}
    if issubclass(cls, feedback.WindowedLikelihood):
        options["window"] = W
    options |= {"wait": WAIT} if name in ("es_dfm", "defuse", "defer") else {}
    options |= {"mean_delay": MEAN} if name == "weigh" else {}
    options |= {"horizons": (WAIT, 1.0, 9.0)} if name == "trace" else {}
    likelihood = cls(**options)
    likelihood.build((None, 3))
    if likelihood.heads:
        truth = {"delayed_positive": P_DP, "real_negative": P_RN, "arrived_2": 0.5}
        for i, share in enumerate(ARRIVED):
            truth |= {f"arrived_{i}": share, f"believed_{i}": after(RATE, share)}
        truth["believed_2"] = 0.5  # past the window, and not read
        logits = {k: np.log(p / (1 - p)) for k, p in truth.items()}
        logits["hazard"] = 12.0 * np.arctanh(np.log(HAZARD) / 12.0)  # bounded softly
        last = likelihood.network[-1]
        last.kernel.assign(tf.zeros_like(last.kernel))
        last.bias.assign([logits[head] for head in likelihood.heads])
    return likelihood


def gradients(name, clicks, click=None):
    """The gradient of every row's published term in its logit, and all gradients' sum in z."""
    s, y, final, e, d = (np.array(column, np.float32) for column in zip(*clicks, strict=True))
    click = np.ones(len(s), np.float32) if click is None else np.array(click, np.float32)
    extra = {"elapsed": e, "conversion_delay": d, "conversion_final": final}
    extra = {key: tf.constant(value) for key, value in extra.items()}
    batch = Batch(tf.constant(click), tf.constant(y), tf.ones(len(s)), extra)
    logit, z = tf.constant(s), tf.ones([len(s), 3])
    with tf.GradientTape() as tape:
        tape.watch(logit)
        samples = label_samples(make(name), batch, logit, z)
        total = tf.reduce_sum(samples.sampled(lambda label: cross_entropy(label, logit)))
    return tape.gradient(total, logit).numpy(), samples


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_published_loss_in_float64(name):
    """b p - a (1 - p) with the paper's weights a and b, which carry no gradient themselves."""
    found, _ = gradients(name, CLICKS)
    for row, value in zip(CLICKS, found, strict=True):
        a, b = published(name, *row)
        p = sigmoid(row[0])
        assert value == pytest.approx(b * p - a * (1 - p), rel=2e-5, abs=1e-7), row


@pytest.mark.parametrize("name", NAMES)
def test_one_row_weighs_what_it_weighs_among_others(name):
    together, _ = gradients(name, CLICKS)
    alone = [gradients(name, [row])[0][0] for row in CLICKS]
    np.testing.assert_allclose(alone, together, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_click_nothing_is_weighed(name):
    """Unclicked rows are negatives of weight 1, whatever their label and times say."""
    rows = [(s, 0, 0, 0.0, 0.0) for s, *_ in CLICKS]
    found, samples = gradients(name, rows, click=[0] * len(rows))
    np.testing.assert_allclose(found, [sigmoid(s) for s, *_ in rows], rtol=1e-6)
    assert samples.head_loss is None or float(samples.head_loss) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_without_a_conversion_no_row_is_a_whole_positive(name):
    """Of silent clicks `dfm`, `defuse` and `trace` alone believe a part of each."""
    rows = [(s, 0, 0, e, 0.0) for s, _, _, e, _ in CLICKS]
    found, samples = gradients(name, rows)
    expected = [published(name, *row) for row in rows]
    p = np.array([sigmoid(row[0]) for row in rows])
    np.testing.assert_allclose(
        found, [b * q - a * (1 - q) for (a, b), q in zip(expected, p, strict=True)], rtol=2e-5
    )
    positive = np.array([a for a, _ in expected])
    assert (positive.max() > 0) == (name in ("dfm", "defuse", "trace"))
    assert positive.max() < 0.7
    assert samples.head_loss is None or np.isfinite(float(samples.head_loss))


@pytest.mark.parametrize("name", NAMES)
def test_with_conversions_alone_nothing_but_delay_is_a_negative(name):
    """One class: what came within the wait pulls up; the samples of before do as published."""
    rows = [(s, 1, 1, e, d) for s, *_ in CLICKS for e, d in ((9.0, 0.05), (9.0, 2.0), (3.0, 0.05))]
    found, samples = gradients(name, rows)
    weights = np.array([published(name, *row) for row in rows])
    p = np.array([sigmoid(row[0]) for row in rows])
    np.testing.assert_allclose(found, weights[:, 1] * p - weights[:, 0] * (1 - p), rtol=2e-5)
    fast = np.array([row[4] for row in rows]) <= WAIT
    negative = weights[:, 1] > 0
    assert negative.any() == (name in ("fnw", "fnc", "es_dfm", "defuse", "defer", "trace"))
    assert negative[fast].any() == (name in ("fnw", "fnc"))
    assert samples.head_loss is None or np.isfinite(float(samples.head_loss))


#: A law: rate .3, sixty of a hundred conversions within the wait; heads at its truth.
LAW = [  # (probability, y, delay)
    (RATE * EARLY, 1, 0.05), (RATE * (1 - EARLY), 1, 2.0), (1 - RATE, 0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_true_rate_is_the_stationary_point(name, monkeypatch):
    """The expected gradient over a law whose windows are over: 0 at the rate, a sign beside it."""
    delayed = RATE * (1 - EARLY)
    monkeypatch.setitem(globals(), "P_DP", delayed)
    monkeypatch.setitem(globals(), "P_RN", (1 - RATE) / (1 - RATE + delayed))

    def pull(rate):
        if name == "fnc":  # its tower learns q = p / (1 + p), and says p
            rate = rate / (1 + rate)
        s = np.log(rate / (1 - rate))
        found, _ = gradients(name, [(s, y, y, 30.0, d) for _, y, d in LAW])
        return float(np.dot([share for share, _, _ in LAW], found))

    assert pull(RATE) == pytest.approx(0, abs=2e-7)
    assert pull(0.4) > 0.03
    assert pull(0.2) < -0.03
    if name == "fnc":
        q = np.float32(RATE / (1 + RATE))
        corrected = make(name).corrected(tf.math.log([q / (1 - q)]))
        np.testing.assert_allclose(corrected, [RATE], rtol=1e-6)
