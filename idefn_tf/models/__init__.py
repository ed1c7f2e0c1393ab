"""Models: one file per method, each with its formula."""

from idefn_tf.models.all_negative import AllNegative
from idefn_tf.models.base import EntireSpaceModel
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.click_only import ClickOnly
from idefn_tf.models.esmm import ESMM
from idefn_tf.models.idefn import IdeFN, IdeFNT, explain_regime
from idefn_tf.models.registry import METHODS, get_method, method

__all__ = [
    "ESMM",
    "METHODS",
    "AllNegative",
    "Batch",
    "ClickOnly",
    "EntireSpaceModel",
    "IdeFN",
    "IdeFNT",
    "Outputs",
    "explain_regime",
    "get_method",
    "method",
]
