"""One training step, in few programs: rows, towers, losses, update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.replica_sums import replica_count
from idefn_tf.models.training.loss_terms import joined, summed, weighted_sum
from idefn_tf.optimizers import RowGradient, apply_rows, read_rows
from idefn_tf.tables import EVENTS, SEQUENCES, found_rows, packed_events

#: What `FeatureColumns.combine` reads of an encoded batch.
_PARTS = ("rows", "coefficients", "numbers")


class TrainingStep:
    """Takes one step of training.

    1. The rows of the embedding tables are gathered, brought up to date and put in their places.
       Where there are lists to pool, that is a program of its own, as is its gradient.
    2. Trunk and towers run; what their layers add to the loss (`model.losses`) is summed.
    3. The losses, with the transport, and their gradient in all that step 2 gave: one program.
    4. The gradient goes back through step 2.
    5. Repeated rows are merged and everything is updated: one program.

    With `jit` XLA compiles 1, 3 and 5. It does not compile 2 and 4: on a CPU, TensorFlow's own
    matrix products are up to a third faster on several threads than those in a program of XLA.

    Args:
        features: the layer that holds the tables and makes z, as `FeatureColumns` does.
        optimizer: any Keras optimizer.
        variables: gives the trainable variables, tables included.
        penalties: () -> the sum of what layers add to the loss, or None.
        added_losses: () -> what layers gave to `add_loss` since the last call.
        forward: (z, training) -> `Outputs`.
        compute_losses: (outputs, batch) -> the loss terms by name.
        terms: (outputs, batch) -> what the metrics add.
        before_step: (z, batch) -> nothing, run before the forward pass.
        loss_weights: factors of loss terms, by name.
        jit: whether XLA compiles what pays.
    """

    def __init__(
        self,
        features: Any,
        optimizer: Any,
        variables: Callable[[], Sequence[keras.Variable]],
        penalties: Callable[[], tf.Tensor | None],
        added_losses: Callable[[], Sequence[Any]],
        forward: Callable[[tf.Tensor, bool], Outputs],
        compute_losses: Callable[[Outputs, Batch], dict[str, tf.Tensor]],
        terms: Callable[[Outputs, Batch], Any],
        before_step: Callable[[tf.Tensor, Batch], None],
        loss_weights: Mapping[str, float],
        jit: bool = False,
    ) -> None:
        self.features, self.optimizer, self._variables = features, optimizer, variables
        self._penalties, self._added_losses = penalties, added_losses
        self._loss_weights = loss_weights
        self._forward, self._before_step = forward, before_step
        self._compute_losses, self._terms = compute_losses, terms
        how = {"jit_compile": jit, "autograph": False, "reduce_retracing": False}
        self._combine = tf.function(self.combine, **how)
        self._losses_and_gradients = tf.function(self.losses_and_gradients, **how)

    def __call__(self, encoded: Mapping[str, Any], batch: Batch) -> tuple[Any, Any, Any]:
        """Trains on a batch.

        Args:
            encoded: features, as `FeatureColumns.encode` gives them.
            batch: labels and weights.

        Returns:
            The losses by name, the method's monitored scalars, and the metrics' terms.
        """
        tables, dense = self.features.tables, self.dense_variables()
        if SEQUENCES in encoded:  # not packed ahead
            encoded = {**encoded, EVENTS: packed_events(encoded)}
        rows_read = {
            width: read_rows(self.optimizer, table, found_rows(encoded, width), padding_row=0)
            for width, table in tables.items()
        }
        gathered = {width: rows.to_positions() for width, rows in rows_read.items()}
        events = {width: rows.to_events() for width, rows in rows_read.items()}
        self._added_losses()  # of a call between two steps
        with tf.GradientTape() as tape:
            tape.watch((gathered, events))
            z = self.place(gathered, encoded, events)
            with tape.stop_recording():
                self._before_step(z, batch)
            outputs = self._forward(z, True)
            penalty = self._penalties()
            scaled_penalty = None if penalty is None else self.optimizer.scale_loss(penalty)
        losses, monitor, terms, slopes = self.losses(outputs, batch)
        reached = [(z, slopes["z"])]
        reached += [(outputs.logits[name], slopes["logits"][name]) for name in outputs.logits]
        reached += [(outputs.hidden[name], slopes["hidden"][name]) for name in outputs.hidden]
        reached = [(target, slope) for target, slope in reached if slope is not None]
        if scaled_penalty is not None:
            reached.append((scaled_penalty, tf.ones_like(scaled_penalty)))
        row_gradients, event_gradients, gradients = tape.gradient(
            [target for target, _ in reached],
            (gathered, events, [v.value for v in dense]),
            output_gradients=[slope for _, slope in reached],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        pairs = []
        for gradient, own, variable in zip(gradients, slopes["variables"], dense, strict=True):
            pairs.append((gradient if own is None else gradient + own, variable))
        rows = [
            RowGradient(table, rows_read[width], row_gradients[width], event_gradients[width])
            for width, table in tables.items()
            if table.trainable
        ]
        apply_rows(self.optimizer, pairs, rows)
        return joined(losses, penalty), monitor, terms

    def dense_variables(self) -> list[keras.Variable]:
        """Returns the trainable variables that are no embedding table."""
        tables = {id(table) for table in self.features.tables.values()}
        return [v for v in self._variables() if id(v) not in tables]

    def place(
        self,
        gathered: Mapping[str, tf.Tensor],
        encoded: Mapping[str, Any],
        events: Mapping[str, Mapping[str, tf.Tensor]],
    ) -> tf.Tensor:
        """Returns z [B, d], by a program if there is anything to pool (else that costs a copy).

        Args:
            gathered: by table, the rows in their places.
            encoded: features.
            events: by table and sequence, the rows of packed events.
        """
        by_sequence: dict[str, dict[str, tf.Tensor]] = {}
        for table, of_table in events.items():
            for name, vectors in of_table.items():
                by_sequence.setdefault(name, {})[table] = vectors
        # as many events as there are, which XLA does not know ahead
        sequences = (
            self.features.encode_sequences(gathered, encoded, by_sequence) if by_sequence else {}
        )
        encoded = {name: encoded[name] for name in _PARTS if name in encoded}
        pools = bool(encoded["coefficients"])
        combine = self._compiled(self._combine, self.combine) if pools else self.combine
        z: tf.Tensor = combine(gathered, encoded, sequences)
        return z

    def combine(
        self,
        gathered: Mapping[str, tf.Tensor],
        encoded: Mapping[str, Any],
        sequences: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        """Returns z of gathered rows whose row 0 is 0 already."""
        return self.features.combine(gathered, encoded, True, sequences)

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
        batch = Batch(*batch)
        variables = [v.value for v in self.dense_variables()]
        outputs = Outputs(z, dict(logits), dict(hidden), training=True)
        sources = {"z": z, "logits": outputs.logits, "hidden": outputs.hidden}
        with tf.GradientTape() as tape:
            tape.watch(sources)
            losses = self._compute_losses(outputs, batch)
            loss = weighted_sum(losses, self._loss_weights)
            own = summed(self._added_losses())  # by layers that the losses run
            losses = joined({"loss": loss, **losses}, own)
            scaled = self.optimizer.scale_loss(losses["loss"])
        slopes = tape.gradient(scaled, {**sources, "variables": variables})
        return losses, outputs.monitor, self._terms(outputs, batch), slopes
