"""A hand-made batch, float64 arithmetic of our own, and numerical gradients for every method."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.models import Batch, EntireSpaceModel, Outputs, get_method
from idefn_tf.models.trunks import TRUNKS

Arrays = dict[str, np.ndarray]


def sigmoid(s):
    return 1.0 / (1.0 + np.exp(-np.asarray(s, np.float64)))


def phi(label, logit):
    """Cross-entropy of a label and a logit, the textbook way."""
    p = sigmoid(logit)
    return -label * np.log(p) - (1 - label) * np.log(1 - p)


def phi_product(label, ctr, cvr):
    p = sigmoid(ctr) * sigmoid(cvr)
    return -label * np.log(p) - (1 - label) * np.log(1 - p)


@dataclass
class Hand:
    """Nine rows: clicks with and without conversion, propensities above and below any floor,
    unequal weights, one row of weight 0."""

    o: np.ndarray = field(default_factory=lambda: np.array([1, 1, 1, 0, 0, 0, 1, 0, 1.0]))
    r: np.ndarray = field(default_factory=lambda: np.array([1, 0, 1, 0, 0, 0, 0, 0, 1.0]))
    w: np.ndarray = field(default_factory=lambda: np.array([1, 2, 0.5, 1, 3, 0.25, 1, 2, 0.0]))
    ctr: np.ndarray = field(
        default_factory=lambda: np.array([0.3, -1.2, -4.5, 0.8, -2.0, 3.9, 2.1, -0.4, 1.0])
    )
    cvr: np.ndarray = field(
        default_factory=lambda: np.array([-0.7, -2.2, 0.4, -3.1, 0.9, -1.4, -0.2, 1.7, -5.0])
    )
    third: np.ndarray = field(
        default_factory=lambda: np.array([0.6, -0.9, 1.3, -2.6, 0.1, -0.3, 2.4, -1.1, 0.2])
    )
    sigmoid = staticmethod(sigmoid)
    phi = staticmethod(phi)
    phi_product = staticmethod(phi_product)

    def logits(self, model: EntireSpaceModel) -> Arrays:
        values = iter((self.ctr, self.cvr, self.third))
        return {task: next(values) for task in model.tasks}

    def mean(self, values: Any, mask: Any = 1.0) -> float:
        """Weighted sum over the mask, divided by the weight of all exposures."""
        return float(np.sum(self.w * mask * values) / np.sum(self.w))

    def mean_within(self, values: Any, mask: Any) -> float:
        return float(np.sum(self.w * mask * values) / np.sum(self.w * mask))

    def batch(self, **extra: np.ndarray) -> Batch:
        values = [tf.constant(v, tf.float32) for v in (self.o, self.r, self.w)]
        return Batch(*values, {k: tf.constant(v, tf.float32) for k, v in extra.items()})

    def run(
        self, model: EntireSpaceModel, z: np.ndarray | None = None, **extra: np.ndarray
    ) -> tuple[dict[str, float], Arrays, dict[str, float]]:
        """Returns the loss terms, the gradient of their sum in every logit, and the monitors."""
        model.build()
        logits = {k: tf.constant(v, tf.float32) for k, v in self.logits(model).items()}
        width = model.features.output_width
        z = np.zeros((len(self.o), width)) if z is None else z
        hidden = {task: tf.zeros([len(self.o), 4]) for task in model.tasks}
        with tf.GradientTape() as tape:
            tape.watch(logits)
            outputs = Outputs(tf.constant(z, tf.float32), dict(logits), hidden, training=True)
            losses = model.compute_losses(outputs, self.batch(**extra))
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, logits, unconnected_gradients="zero")
        assert set(losses) == set(model.loss_names)
        assert set(outputs.monitor) == set(model.monitors)
        return (
            {k: float(v) for k, v in losses.items()},
            {k: v.numpy().astype(np.float64) for k, v in gradients.items()},
            {k: float(v) for k, v in outputs.monitor.items()},
        )

    def check(
        self,
        model: EntireSpaceModel,
        terms: Callable[[Arrays, Arrays], dict[str, float]],
        **run: Any,
    ) -> None:
        """Holds a method against `terms(logits, frozen)`, which computes its loss terms in float64.

        `frozen` are the logits whatever has a stop-gradient is computed from: gradients are
        numerical differences in `logits` alone.
        """
        base = self.logits(model)
        losses, gradients, _ = self.run(model, **run)
        expected = terms(base, base)
        assert losses == pytest.approx(expected, rel=2e-5, abs=1e-6)
        for task, values in base.items():
            numeric = np.zeros_like(values)
            for i in range(len(values)):
                totals = []
                for step in (1e-5, -1e-5):
                    moved = dict(base)
                    moved[task] = values.copy()
                    moved[task][i] += step
                    totals.append(sum(terms(moved, base).values()))
                numeric[i] = (totals[0] - totals[1]) / 2e-5
            np.testing.assert_allclose(
                gradients[task], numeric, rtol=2e-4, atol=2e-6, err_msg=f"gradient in {task}"
            )


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture(scope="session")
def make_model(tiny_features) -> Callable[..., EntireSpaceModel]:
    """Makes a tiny model by a method's name; its trunk, by name or None, is tiny too."""

    def make(name: str, backbone: Any = None, trunk: str | None = None, **options: Any):
        if trunk is None and name in TRUNKS:
            trunk = name
        if trunk is not None:
            options["trunk"] = TRUNKS[trunk](expert_units=(4,), tower_units=(4,))
        return get_method(name)(tiny_features(), backbone or MLP((4,)), **options)

    return make


@pytest.fixture(scope="session")
def tiny_rows() -> dict[str, np.ndarray]:
    """96 encoded-by-hand exposures whose conversions follow the item."""
    rng = np.random.default_rng(5)
    item = rng.integers(0, 10, 96)
    click = rng.random(96) < 0.6
    would = rng.random(96) < np.where(item < 5, 0.8, 0.1)
    return {
        "user": rng.integers(0, 20, 96),
        "item": item,
        "price": rng.normal(size=96).astype(np.float32),
        "click": click.astype(np.float32),
        "conversion": (click & would).astype(np.float32),
        "oracle_conversion": would.astype(np.float32),
    }


@pytest.fixture(scope="session")
def tiny_dataset(tiny_rows) -> tf.data.Dataset:
    """Two batches of 48 rows as (features, labels, weight)."""
    rows = dict(tiny_rows)
    labels = {k: rows.pop(k) for k in ("click", "conversion", "oracle_conversion")}
    weight = np.ones(96, np.float32)
    return tf.data.Dataset.from_tensor_slices((rows, labels, weight)).batch(48)
