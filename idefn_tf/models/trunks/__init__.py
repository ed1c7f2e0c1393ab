"""Trunks: layers between z and the towers that let tasks share experts."""

from __future__ import annotations

from idefn_tf._registry import REGISTRIES
from idefn_tf.models.trunks.attention_transfer import AttentionTransfer
from idefn_tf.models.trunks.mmoe_trunk import MMoETrunk
from idefn_tf.models.trunks.ple_trunk import PLETrunk
from idefn_tf.models.trunks.trunk import Trunk

#: Trunks by the name that configs use.
TRUNKS: dict[str, type[Trunk]] = REGISTRIES["trunk"]


def get(trunk: Trunk | str | None) -> Trunk | None:
    """Returns a trunk: itself, one by name with its defaults, or None.

    Raises:
        ValueError: if it is neither a trunk nor a known name.
    """
    if trunk is None or isinstance(trunk, Trunk):
        return trunk
    if trunk not in TRUNKS:
        raise ValueError(
            f"trunk: must be a Trunk layer or one of {sorted(TRUNKS)}, received {trunk!r}"
        )
    return TRUNKS[trunk]()


__all__ = ["TRUNKS", "AttentionTransfer", "MMoETrunk", "PLETrunk", "Trunk", "get"]
