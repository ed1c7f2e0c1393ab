"""Theorem 1 in numbers: the loop of Eq. 6 closes in on the exact plan at a linear rate.

The condition (Eq. 11) asks that the excess cost grows with the distance from the exact plan pi*,

    <pi, M> - <pi*, M>  >=  eta KL(pi* || pi),

and the claim (Eq. 12) is that every step then shortens the distance by a fixed factor:

    KL(pi* || pi^(t+1))  <=  KL(pi* || pi^(t)) / (1 + eta / epsilon).

Here eta is not assumed but measured, at every step, in float64 with inner error 1e-10.
"""

import numpy as np
import ot
import pytest
import tensorflow as tf

from idefn_tf.transport import partial_problem
from idefn_tf.transport.full_problem import marginal_error, whole
from idefn_tf.transport.reference.proximal_loop import first_plan, proximal_step

INNER = 1e-10
STEPS = 30


def divergence(p, q):
    """KL(p || q) of two plans of one mass."""
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum())


def exact_plan(cost, kappa):
    """The exact plan, which must be the only one: no small change of the cost moves it."""
    rows, columns = cost.shape
    a = np.append(np.full(rows, kappa / rows), 1 - kappa)
    b = np.full(columns, 1 / columns)
    plan = ot.emd(a, b, np.vstack([cost, np.zeros(columns)]))
    rng = np.random.default_rng(0)
    for _ in range(5):
        moved = cost + 1e-6 * rng.normal(size=cost.shape)
        again = ot.emd(a, b, np.vstack([moved, np.zeros(columns)]))
        np.testing.assert_allclose(again, plan, atol=1e-12)
    return plan


@pytest.mark.parametrize("epsilon", [0.2, 1.0])
@pytest.mark.parametrize(
    ("seed", "rows", "columns", "kappa"), [(0, 2, 3, 0.5), (1, 3, 7, 0.3), (2, 5, 11, 0.4)]
)
def test_every_step_shortens_the_distance_as_eq_12_says(seed, rows, columns, kappa, epsilon):
    cost = np.random.default_rng(seed).random((rows, columns))
    best = exact_plan(cost, kappa)
    asked = whole(partial_problem(cost, kappa=kappa))
    prices = asked.cost.numpy()  # constants per row are gone from both sides of Eq. 11
    kernel = tf.exp(-asked.cost / epsilon)
    enough = tf.constant(INNER, tf.float64)

    @tf.function(jit_compile=True)
    def step(pi):
        return proximal_step(asked, kernel, pi, 1_000_000, enough)

    pi = first_plan(asked)
    distances, etas = [divergence(best, pi.numpy())], []
    for _ in range(STEPS):
        pi, _ = step(pi)
        assert float(marginal_error(pi, asked.row_mass, asked.column_mass)) <= INNER
        plan = pi.numpy()
        distance = divergence(best, plan)
        if distance < 1e-7:
            break  # what is left is the inner error
        excess = float(((plan - best) * prices).sum())
        eta = excess / distance  # Eq. 11, with equality
        assert eta > 0
        bound = distances[-1] / (1 + eta / epsilon)
        assert distance <= bound + 1e3 * INNER  # Eq. 12
        distances.append(distance)
        etas.append(eta)
    assert len(etas) >= 3
    # One eta for all steps, the smallest, gives the rate of the whole run.
    rate = 1 / (1 + min(etas) / epsilon)
    for t, distance in enumerate(distances):
        assert distance <= distances[0] * rate**t + 1e3 * INNER
    assert distances[-1] < distances[0] / 3
