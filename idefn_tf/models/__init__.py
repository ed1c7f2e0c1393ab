"""Models: one file per method, each with its formula."""

from idefn_tf.models.all_negative import AllNegative
from idefn_tf.models.base import EntireSpaceModel
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.click_only import ClickOnly
from idefn_tf.models.esmm import ESMM
from idefn_tf.models.registry import METHODS, get_method, method

__all__ = [
    "ESMM",
    "METHODS",
    "AllNegative",
    "Batch",
    "ClickOnly",
    "EntireSpaceModel",
    "Outputs",
    "get_method",
    "method",
]
