"""RPOT: relaxed partial optimal transport as a Keras layer, for use inside a train step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._options import check_arguments, dotted, problems
from idefn_tf._registry import register
from idefn_tf._schedule import schedule_of
from idefn_tf.transport.options import (
    EXACT_NEEDS_NO_JIT,
    Kappa,
    Marginals,
    Relabelling,
    TransportOptions,
)
from idefn_tf.transport.rejection_prices import propensity_weights
from idefn_tf.transport.rpot.batch_program import Asked, batch_program
from idefn_tf.transport.rpot.matches import Matches
from idefn_tf.transport.rpot.positive_memory import PositiveMemory
from idefn_tf.transport.rpot.positives import first_positives, from_all_replicas
from idefn_tf.transport.rpot.running_mean import RunningMean

#: Arguments that are Keras'; all others are the transport's.
_KERAS = ("name", "dtype", "trainable", "autocast", "activity_regularizer")
#: kappa before the first estimate under kappa="auto", and its bounds afterwards.
_AUTO_START, _AUTO_LEAST, _AUTO_MOST = 0.01, 1e-5, 0.5


def translate_options(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Gives saved arguments of an earlier release their names of today."""
    return {"holdout_positives" if key == "spies" else key: value for key, value in saved.items()}


@check_arguments
@register("layer")
class RPOT(keras.layers.Layer):
    """Matches a batch's unclicked rows to converted ones (Eq. 4-10) and relabels them (Eq. 13-14).

    Shapes are static: the batch's positives are gathered into `capacity` places, and every row of
    the batch is a column, the clicked ones masked. The virtual row's scaling is divided out inside
    the solver, so there is no potential to carry from batch to batch.

    Args:
        kappa: share of the unclicked rows that may be matched, in [0, 1]; a
            ``keras.optimizers.schedules`` object of the training step; or "auto", a running
            estimate of the unclicked rows' conversion rate, given to `call` as `rate`.
        marginals: "proportion" (R2) or "literal" (R1).
        rule: "argmax", "matched_fraction", "top_k" or "soft".
        **kwargs: the fields of `TransportOptions` (label_value, holdout_positives, rejection_price,
            capacity, memory, memory_age, warmup_steps, cost, normalize, epsilon, scale, steps,
            solver, seed, jit_compile), and Keras' ``name`` and ``dtype``.

    Raises:
        ValueError: naming the option, its rule and what was received.

    Example:
        >>> from idefn_tf.transport import RPOT
        >>> found = RPOT(kappa=0.5)(outputs.z, batch.click, batch.conversion)
        >>> found.labels.numpy().tolist(), float(found.pseudo_positives)
        ([0.0, 0.0, 1.0, 0.0], 1.0)
    """

    def __init__(
        self,
        kappa: Kappa = 0.02,
        marginals: Marginals = "proportion",
        rule: Relabelling = "top_k",
        **kwargs: Any,
    ) -> None:
        given = {name: kwargs.pop(name) for name in [*kwargs] if name not in _KERAS}
        if wrong := problems(TransportOptions, given):
            raise ValueError("\n".join(f"{dotted(at)}: {message}" for at, message in wrong))
        super().__init__(**{**kwargs, "trainable": False, "dtype": "float32"})
        options = TransportOptions(**given)
        schedule = not isinstance(kappa, int | float | str)
        self.kappa = schedule_of(kappa) if schedule else kappa
        self.marginals, self.rule = marginals, rule
        self.label_value, self.holdout_positives = options.label_value, options.held_out
        self.rejection_price = options.rejection_price
        self.cost, self.capacity, self.memory = options.cost, options.capacity, options.memory
        self.memory_age, self.warmup_steps = options.memory_age, options.warmup_steps
        self.normalize, self.seed = options.normalize, options.seed
        self.jit_compile, self.jit_allowed = options.jit_compile, True
        self.options = options.solver_options
        memory, memory_age, seed = options.memory, options.memory_age, options.seed
        self.bank = PositiveMemory(memory, memory_age, name="memory") if memory else None
        self.prior = RunningMean(name="prior")
        self.recall = RunningMean(name="recall")
        self.match_rate = RunningMean(name="match_rate")
        self.random = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Creates the step counter and the memory's places for z of shape [B, d]."""
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="step"
        )
        if self.bank is not None:
            self.bank.build(input_shape)
        self.built = True

    def call(
        self,
        z: tf.Tensor,
        click: tf.Tensor,
        conversion: tf.Tensor,
        rate: tf.Tensor | None = None,
        training: bool = False,
        propensity: tf.Tensor | None = None,
    ) -> Matches:
        """Matches one batch.

        Args:
            z: representations [B, d]; no gradient flows into them.
            click: [B].
            conversion: [B].
            rate: the batch's estimate of the unclicked rows' conversion rate, scalar; needed by
                kappa="auto" and by calibrated labels.
            training: only then memory, step and running estimates move on, and only then are
                positives held out.
            propensity: the rows' click probability [B], without gradient; needed by
                `rejection_price`.

        Returns:
            The matches.
        """
        z = tf.stop_gradient(tf.cast(z, tf.float32))
        if self.normalize:
            z = tf.math.l2_normalize(z, axis=1)
        step = tf.convert_to_tensor(self.step.value)
        self._learn_rate(rate, training)
        positive = click * conversion
        held = self._hide(positive, training)
        shown = positive * (1.0 - held)
        own, own_mask, rows = first_positives(z, shown, self.capacity)
        fresh, fresh_mask = from_all_replicas(own, own_mask)
        side, side_mask = fresh, fresh_mask
        if self.bank is not None:
            entries, alive = self.bank.read(step)
            side, side_mask = tf.concat([side, entries], 0), tf.concat([side_mask, alive], 0)
        columns = tf.logical_or(click < 0.5, held > 0.5)
        kappa = self.kappa_now(step)
        jit = self.jit_compile and self.jit_allowed
        if self.options.solver == "exact" and jit:
            raise ValueError(EXACT_NEEDS_NO_JIT)
        program = batch_program(
            self.cost,
            self.marginals,
            self.rule,
            self.options,
            jit,
            narrow=training,
            price=self.rejection_price,
        )
        weights = self._weights(propensity)
        plan, found = program(Asked(side, side_mask, z, columns, kappa, weights))
        found *= tf.cast(step >= self.warmup_steps, tf.float32)
        if training:
            self._learn_recall(found, held, columns)
            self.step.assign_add(1)
            if self.bank is not None:
                self.bank(fresh, fresh_mask, step)  # alike on every replica
        value = self._value()
        labels = found * value * (1.0 - click)
        return Matches(
            labels=labels,
            matched_fraction=plan.matched_fraction,
            pseudo_positives=tf.reduce_sum(tf.cast(labels > 0, tf.float32)),
            positives=tf.reduce_sum(tf.cast(side_mask, tf.float32)),
            overflow=tf.reduce_sum(shown) - tf.reduce_sum(tf.cast(own_mask, tf.float32)),
            kappa=kappa,
            label_value=value,
            status=plan.status,
            iterations=plan.iterations,
            marginal_error=plan.marginal_error,
            plan=plan,
            rows=rows,
        )

    def kappa_now(self, step: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the kappa of a step (default: the present one), float32 scalar."""
        if self.kappa == "auto":
            estimate = tf.clip_by_value(self.prior.mean, _AUTO_LEAST, _AUTO_MOST)
            return tf.where(self.prior.known, estimate, _AUTO_START)
        if isinstance(self.kappa, keras.optimizers.schedules.LearningRateSchedule):
            step = tf.convert_to_tensor(self.step.value) if step is None else step
            return tf.clip_by_value(tf.cast(self.kappa(step), tf.float32), 0.0, 1.0)
        return tf.constant(self.kappa, tf.float32)

    @property
    def warming_up(self) -> bool:
        """Whether every training step so far lay within the warm-up, where no row is labelled."""
        return int(tf.identity(self.step.value)) <= self.warmup_steps  # replicas have one each

    @property
    def needs_rate(self) -> bool:
        """Whether `call` needs an estimate of the unclicked rows' conversion rate."""
        return self.kappa == "auto" or self.label_value == "calibrated"

    def _weights(self, propensity: tf.Tensor | None) -> tf.Tensor | None:
        """Rejection prices at level 1 [B]; None under one mass budget."""
        if self.rejection_price is None:
            return None
        if propensity is None:
            raise ValueError(
                "propensity: must be given under rejection_price, received None; give the model's "
                "click probability of every row"
            )
        return propensity_weights(tf.stop_gradient(tf.cast(propensity, tf.float32)))

    def _learn_rate(self, rate: tf.Tensor | None, training: bool) -> None:
        if not self.needs_rate:
            return
        if rate is None:
            raise ValueError(
                "rate: must be given under kappa='auto' and label_value='calibrated': the batch's "
                "estimate of the unclicked rows' conversion rate, received None"
            )
        if training:
            rate = tf.cast(rate, tf.float32)
            self.prior(rate, tf.cast(tf.math.is_finite(rate), tf.float32))

    def _hide(self, positive: tf.Tensor, training: bool) -> tf.Tensor:
        """Draws the positives that play unclicked rows in this batch, [B] of 0 and 1."""
        if not training or not self.holdout_positives:
            return tf.zeros_like(positive)
        draw = keras.random.uniform(tf.shape(positive), seed=self.random)
        return positive * tf.cast(draw < self.holdout_positives, tf.float32)

    def _learn_recall(self, found: tf.Tensor, held: tf.Tensor, columns: tf.Tensor) -> None:
        if not self.holdout_positives:
            return
        count = tf.reduce_sum(held)
        self.recall(tf.math.divide_no_nan(tf.reduce_sum(found * held), count), count)
        others = tf.cast(columns, tf.float32) * (1.0 - held)
        count = tf.reduce_sum(others)
        rate = tf.math.divide_no_nan(tf.reduce_sum(found * others), count)
        self.match_rate(rate, tf.cast(count > 0, tf.float32))

    def _value(self) -> tf.Tensor:
        """Precision = recall x prior / match rate, clipped to [0, 1]; or the number."""
        if self.label_value != "calibrated":
            return tf.constant(self.label_value, tf.float32)
        precision = tf.math.divide_no_nan(self.recall.mean * self.prior.mean, self.match_rate.mean)
        return tf.clip_by_value(precision, 0.0, 1.0)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RPOT:
        """Rebuilds a saved layer, also one of an earlier release."""
        return cls(**translate_options(config))

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        kappa = self.kappa
        if isinstance(kappa, keras.optimizers.schedules.LearningRateSchedule):
            kappa = keras.saving.serialize_keras_object(kappa)
        own = (
            "marginals",
            "rule",
            "label_value",
            "holdout_positives",
            "rejection_price",
            "capacity",
            "memory",
            "memory_age",
            "warmup_steps",
            "cost",
            "normalize",
            "seed",
            "jit_compile",
        )
        solver = ("epsilon", "scale", "steps", "solver")
        return {
            **super().get_config(),
            "kappa": kappa,
            **{name: getattr(self, name) for name in own},
            **{name: getattr(self.options, name) for name in solver},
        }
