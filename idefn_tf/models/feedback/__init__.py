"""Label likelihoods under delayed feedback: one file a name, each with its formula."""

from __future__ import annotations

from typing import Any

from idefn_tf._registry import REGISTRIES, find
from idefn_tf.models.feedback.defer import DEFERFeedback
from idefn_tf.models.feedback.defuse import DEFUSEFeedback
from idefn_tf.models.feedback.dfm import DFMFeedback
from idefn_tf.models.feedback.es_dfm import ESDFMFeedback
from idefn_tf.models.feedback.fnc import FNCFeedback
from idefn_tf.models.feedback.fnw import FNWFeedback
from idefn_tf.models.feedback.headed import HeadedLikelihood
from idefn_tf.models.feedback.likelihood import Clicks, LabelLikelihood, Weights
from idefn_tf.models.feedback.observed import ObservedFeedback
from idefn_tf.models.feedback.oracle import OracleFeedback
from idefn_tf.models.feedback.trace import TRACEFeedback
from idefn_tf.models.feedback.wait import WaitFeedback
from idefn_tf.models.feedback.weigh import WeighFeedback
from idefn_tf.models.feedback.windowed import WindowedLikelihood

#: Label likelihoods by the name that configs use.
FEEDBACKS: dict[str, type[LabelLikelihood]] = REGISTRIES["feedback"]


def get(feedback: Any) -> LabelLikelihood:
    """Returns a label likelihood: itself, one by name with its defaults, or "observed" for None.

    Raises:
        ValueError: if the name is unknown, naming those that exist.

    Example:
        >>> from idefn_tf.models import feedback
        >>> type(feedback.get("fnw")).__name__, type(feedback.get(None)).__name__
        ('FNWFeedback', 'ObservedFeedback')
    """
    found: LabelLikelihood = find("feedback", feedback, LabelLikelihood, ObservedFeedback)
    return found


__all__ = [
    "FEEDBACKS",
    "Clicks",
    "DEFERFeedback",
    "DEFUSEFeedback",
    "DFMFeedback",
    "ESDFMFeedback",
    "FNCFeedback",
    "FNWFeedback",
    "HeadedLikelihood",
    "LabelLikelihood",
    "ObservedFeedback",
    "OracleFeedback",
    "TRACEFeedback",
    "WaitFeedback",
    "WeighFeedback",
    "Weights",
    "WindowedLikelihood",
    "get",
]
