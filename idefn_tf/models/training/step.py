"""One training step, in few programs: rows, towers, losses, update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.replica_sums import replica_count
from idefn_tf.optimizers import read_rows, row_gradient
from idefn_tf.tables import found_rows


class TrainingStep:
    """Takes a model one step.

    1. The rows of the embedding tables are gathered, brought up to date and put in their places.
       Where there are lists to pool, that is a program of its own, as is its gradient.
    2. Trunk and towers run.
    3. The losses, with the transport, and their gradient in all that step 2 gave: one program.
    4. The gradient goes back through step 2.
    5. Repeated rows are merged and everything is updated: one program.

    With `jit` XLA compiles 1, 3 and 5. It does not compile 2 and 4: on a CPU, TensorFlow's own
    matrix products are up to a third faster on several threads than those in a program of XLA.

    Args:
        model: whose step it is, an `EntireSpaceTrainer`.
        jit: whether XLA compiles what pays.
    """

    def __init__(self, model: Any, jit: bool) -> None:
        self.model = model
        how = {"jit_compile": jit, "autograph": False, "reduce_retracing": False}
        self._combine = tf.function(self.combine, **how)
        self._losses_and_gradients = tf.function(self.losses_and_gradients, **how)

    def __call__(self, encoded: dict[str, tf.Tensor], batch: Batch) -> tuple[Any, Any, Any]:
        """Trains on a batch.

        Args:
            encoded: features, as `FeatureColumns.encode` gives them.
            batch: labels and weights.

        Returns:
            The losses by name, the method's monitored scalars, and the metrics' terms.
        """
        model = self.model
        features, optimizer = model.features, model.optimizer
        rows_read = {
            width: read_rows(optimizer, table, found_rows(encoded, width), padding_row=0)
            for width, table in features.tables.items()
        }
        gathered = {width: rows.to_positions() for width, rows in rows_read.items()}
        dense = self.dense_variables()
        with tf.GradientTape() as tape:
            tape.watch(gathered)
            z = self.place(gathered, encoded)
            with tape.stop_recording():
                model.before_step(z, batch)
            outputs = model.forward(z, training=True)
        losses, monitor, terms, slopes = self.losses(outputs, batch)
        reached = [(z, slopes["z"])]
        reached += [(outputs.logits[name], slopes["logits"][name]) for name in outputs.logits]
        reached += [(outputs.hidden[name], slopes["hidden"][name]) for name in outputs.hidden]
        reached = [(target, slope) for target, slope in reached if slope is not None]
        row_gradients, gradients = tape.gradient(
            [target for target, _ in reached],
            (gathered, [v.value for v in dense]),
            output_gradients=[slope for _, slope in reached],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        pairs = []
        for gradient, own, variable in zip(gradients, slopes["variables"], dense, strict=True):
            pairs.append((gradient if own is None else gradient + own, variable))
        for width, table in features.tables.items():
            gradient = row_gradient(optimizer, rows_read[width], row_gradients[width])
            pairs.append((gradient, table))
        optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
        return losses, monitor, terms

    def dense_variables(self) -> list[keras.Variable]:
        """Returns the trainable variables that are no embedding table."""
        tables = {id(table) for table in self.model.features.tables.values()}
        return [v for v in self.model.trainable_variables if id(v) not in tables]

    def place(
        self, gathered: Mapping[str, tf.Tensor], encoded: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        """Returns z [B, d], by a program if there is anything to pool (else that costs a copy)."""
        pools = any(name.startswith("coefficients:") for name in encoded)
        combine = self._compiled(self._combine, self.combine) if pools else self.combine
        z: tf.Tensor = combine(gathered, encoded)
        return z

    def combine(
        self, gathered: Mapping[str, tf.Tensor], encoded: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        """Returns z of gathered rows whose row 0 is 0 already."""
        return self.model.features.combine(gathered, encoded, zeroed=True)

    @staticmethod
    def _compiled(program: Any, plain: Any) -> Any:
        """Returns the program, or the plain function: what crosses replicas is not compiled."""
        return program if replica_count() == 1 else plain

    def losses(self, outputs: Outputs, batch: Batch) -> Any:
        """Returns what `losses_and_gradients` does, compiled where that can be."""
        return self._compiled(self._losses_and_gradients, self.losses_and_gradients)(
            outputs.z,
            outputs.logits,
            outputs.hidden,
            (batch.click, batch.conversion, batch.weight, batch.extra),
        )

    def losses_and_gradients(
        self,
        z: tf.Tensor,
        logits: Mapping[str, tf.Tensor],
        hidden: Mapping[str, tf.Tensor],
        batch: Any,
    ) -> Any:
        """Computes the losses, the metrics' terms and the slopes.

        Args:
            z: the representation, [B, d].
            logits: by task, [B].
            hidden: by task, [B, h].
            batch: the fields of `Batch`.

        Returns:
            Losses by name, monitored scalars, terms of the metrics, and the gradient of the
            (scaled) loss in "z", "logits", "hidden" and the dense "variables"; None for what the
            losses do not depend on themselves.
        """
        model, batch = self.model, Batch(*batch)
        variables = [v.value for v in self.dense_variables()]
        outputs = Outputs(z, dict(logits), dict(hidden), training=True)
        sources = {"z": z, "logits": outputs.logits, "hidden": outputs.hidden}
        with tf.GradientTape() as tape:
            tape.watch(sources)
            losses = model.compute_losses(outputs, batch)
            loss = tf.add_n(list(losses.values()))
            scaled = model.optimizer.scale_loss(loss)
        slopes = tape.gradient(scaled, {**sources, "variables": variables})
        terms = model.training_metrics.terms(model.predictions(outputs), batch)
        return {"loss": loss, **losses}, outputs.monitor, terms, slopes
