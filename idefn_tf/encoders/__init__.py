"""Sequence encoders: what turns a behaviour sequence into one vector."""

from __future__ import annotations

from typing import Any

from idefn_tf._registry import REGISTRIES, find
from idefn_tf.encoders.din import DINEncoder
from idefn_tf.encoders.encoder import SequenceEncoder
from idefn_tf.encoders.mean import MeanEncoder
from idefn_tf.encoders.target_attention import TargetAttentionEncoder
from idefn_tf.encoders.transformer import TransformerEncoder

#: Encoders by the name that configs use.
ENCODERS: dict[str, type[SequenceEncoder]] = REGISTRIES["encoder"]


def get(encoder: Any) -> SequenceEncoder:
    """Returns an encoder: itself, one by name with its defaults, or `MeanEncoder` for None.

    Raises:
        ValueError: if the name is unknown, naming those that exist.

    Example:
        >>> from idefn_tf import encoders
        >>> encoders.get("din").units, type(encoders.get(None)).__name__
        ((80, 40), 'MeanEncoder')
    """
    found: SequenceEncoder = find("encoder", encoder, SequenceEncoder, MeanEncoder)
    return found


__all__ = [
    "ENCODERS",
    "DINEncoder",
    "MeanEncoder",
    "SequenceEncoder",
    "TargetAttentionEncoder",
    "TransformerEncoder",
    "get",
]
