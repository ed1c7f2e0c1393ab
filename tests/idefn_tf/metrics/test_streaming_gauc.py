"""Streaming GAUC against the exact one, and the sample of users that it follows."""

import math

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf import metrics
from idefn_tf.metrics import GAUC


def rows(seed: int, users: int, size: int = 8000):
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, size)
    logit = rng.normal(-2, 1, size) + rng.normal(0, 2, users)[user]
    labels = (rng.random(size) < 1 / (1 + np.exp(-logit))).astype(float)
    return labels, 1 / (1 + np.exp(-logit - 0.3)), user, rng.integers(0, 3, size).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bins", [64, 128])
def test_every_user_followed(bins, weighted):
    labels, scores, user, weights = rows(0, users=200)
    weights = weights if weighted else np.ones_like(labels)
    metric = GAUC(200, dtype="float64", bins=bins)
    for part in np.array_split(np.arange(len(labels)), 9):
        metric.update_state(labels[part], scores[part], user[part], weights[part])
    exact = metrics.gauc(labels, scores, user, weights)
    assert abs(float(metric.result()) - exact) <= float(metric.error_bound()) + 1e-9
    assert float(metric.result()) == pytest.approx(exact, abs=0.004)
    # It is not the AUC over all rows: users differ in their level.
    assert abs(metrics.auc(labels, scores, weights) - exact) > 0.03


def test_a_sample_of_users_never_mixes_two():
    users = 5000
    metric = GAUC(users, max_users=512, dtype="float64")
    slots = metric.slot(np.arange(users)).numpy()
    followed = slots[slots >= 0]
    assert len(np.unique(followed)) == len(followed)
    assert followed.max() < 512
    assert len(followed) == pytest.approx(512 * users / 8192, rel=0.1)
    # Not the first ids, not the last ones, not one residue class.
    chosen = np.flatnonzero(slots >= 0)
    assert abs(chosen.mean() / users - 0.5) < 0.05
    assert abs((chosen % 2).mean() - 0.5) < 0.1

    labels, scores, user, weights = rows(1, users, size=30_000)
    metric.update_state(labels, scores, user, weights)
    inside = np.isin(user, chosen)
    exact = metrics.gauc(labels[inside], scores[inside], user[inside], weights[inside])
    assert abs(float(metric.result()) - exact) <= float(metric.error_bound()) + 1e-9


def test_unknown_users_are_left_out_and_counted():
    metric = GAUC(2)
    metric.update_state([0, 1, 1, 0, 0], [0.2, 0.6, 0.1, 0.7, 0.9], [0, 0, 1, 1, 0])
    assert float(metric.result()) == pytest.approx((3 * 0.5 + 2 * 0.0) / 5)
    metric.update_state([0, 1], [0.9, 0.1], [-1, 2], [3.0, 4.0])
    assert float(metric.result()) == pytest.approx(0.3)
    assert float(metric.outside.value) == 7.0


def test_merge_reset_and_undefined():
    labels, scores, user, weights = rows(2, users=50, size=2000)
    whole, left, right = (GAUC(50, dtype="float64") for _ in range(3))
    whole.update_state(labels, scores, user[:, None], weights)
    left.update_state(labels[:900], scores[:900], user[:900], weights[:900])
    right.update_state(labels[900:], scores[900:], user[900:], weights[900:])
    left.merge_state([right])
    assert float(left.result()) == pytest.approx(float(whole.result()), rel=1e-12)
    left.reset_state()
    assert math.isnan(float(left.result()))
    left.update_state([], [], np.zeros(0, np.int32))
    left.update_state([1, 0], [0.5, 0.4], [3, 4])
    assert math.isnan(float(left.result()))
    left.update_state([0], [np.nan], [3])
    left.update_state([0, 1], [0.1, 0.2], [5, 5])
    assert math.isnan(float(left.result()))


def test_logits_and_compiled_update():
    labels, scores, user, weights = rows(3, users=40, size=1000)
    metric = GAUC(40, from_logits=True, max_users=16)
    plain = GAUC(40, max_users=16)
    update = tf.function(metric.update_state, jit_compile=True)
    update(
        tf.constant(labels),
        tf.constant(np.log(scores / (1 - scores))),
        tf.constant(user),
        tf.constant(weights),
    )
    plain.update_state(labels, scores, user, weights)
    assert float(metric.result()) == pytest.approx(float(plain.result()), abs=1e-6)
    assert 0.5 < float(plain.result()) < 1
