"""MMoE: experts shared by both tasks, the CVR trained on clicked rows."""

from __future__ import annotations

from typing import Any, Literal

import keras

from idefn_tf._registry import register
from idefn_tf._types import Positive
from idefn_tf.models.methods.click_only import ClickOnly
from idefn_tf.models.trunks import MMoETrunk


@register("method", "mmoe")
class MMoE(ClickOnly):
    """Multi-gate Mixture-of-Experts with eight experts between z and two small towers.

    Formula::

        L = mean_D phi(o, o^) + cvr_weight * (1/divisor) sum_O phi(r, r^)

    with divisor |D| ("exposures", as in the published comparison: on Ali-CCP the CVR term is then
    about 25 times weaker than a mean over clicks) or |O| ("clicks"). No stop-gradient. Any other
    method takes the same experts by ``trunk="mmoe"``.

    Args:
        cvr_weight: weight of the CVR term.
        divisor: "exposures" or "clicks".
        trunk: default ``MMoETrunk(experts=8)``.
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if `divisor` is neither, or the weight is not positive.

    Source: Ma et al., KDD 2018; loss of Huang et al., RecSys 2024.

    Example:
        >>> from idefn_tf.models import MMoE
        >>> model = MMoE(features, MLP((8,)), cvr_weight=2.0)
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_loss': 0.6931}
    """

    def __init__(
        self,
        *args: Any,
        cvr_weight: Positive = 1.0,
        divisor: Literal["exposures", "clicks"] = "exposures",
        trunk: keras.layers.Layer | str | None = None,
        **kwargs: Any,
    ) -> None:
        trunk = MMoETrunk() if trunk is None else trunk
        super().__init__(*args, cvr_weight=cvr_weight, divisor=divisor, trunk=trunk, **kwargs)
