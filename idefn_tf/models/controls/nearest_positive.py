"""NearestPositive: the control that relabels the unclicked rows nearest to a conversion."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Count
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.controls.counted_relabel import CountedRelabel
from idefn_tf.transport.costs import squared_euclidean


@register("control", "nearest_positive")
class NearestPositive(CountedRelabel):
    """Eq. 15 with the round(kappa N_U) unclicked rows whose z lies nearest to a converted row's.

    The distance is the transport's cost, squared Euclidean on stop-gradient z, but every row may go
    to any conversion: no conversion's capacity binds. As the exact plan sends most of each
    conversion's mass to its own nearest row, the two choices overlap; what the transport adds shows
    only beside this control.

    Args:
        capacity: most converted rows of a batch that are looked at; those beyond it are counted in
            ``transport_overflow``.
        **kwargs: of `CountedRelabel` (kappa) and `AllNegative`.

    Raises:
        ValueError: if `kappa` is outside [0, 1] or `capacity` is not positive.

    Example:
        >>> from idefn_tf.models import NearestPositive
        >>> model = NearestPositive(features, MLP((8,)), kappa=0.5)
        >>> model.pseudo_labels(outputs, batch).numpy().tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    monitors = {**CountedRelabel.monitors, "transport_overflow": "sum"}

    def __init__(self, *args: Any, capacity: Count = 256, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.capacity = capacity

    def scores(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns minus the squared distance to the nearest converted row, [B]."""
        z = tf.stop_gradient(outputs.z)
        known = self.samples(outputs, batch).known
        converted = tf.where(batch.weight > 0.0, batch.click * known, 0.0)
        capacity = tf.minimum(self.capacity, tf.size(converted))
        taken, rows = tf.math.top_k(converted, capacity)
        outputs.monitor["transport_overflow"] = tf.reduce_sum(converted) - tf.reduce_sum(taken)
        distance = squared_euclidean(tf.gather(z, rows), z)
        far = tf.constant(float("inf"), distance.dtype)
        return -tf.reduce_min(tf.where(taken[:, None] > 0.0, distance, far), 0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "capacity": self.capacity}
