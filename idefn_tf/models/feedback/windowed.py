"""WindowedLikelihood: label likelihoods that know how long a click can still convert."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._options import check_arguments
from idefn_tf._types import PositiveOrNone
from idefn_tf.models.feedback.likelihood import Clicks, LabelLikelihood, as_number


@check_arguments
class WindowedLikelihood(LabelLikelihood):
    """A label likelihood with an attribution window.

    Args:
        window: length of the attribution window, days; a job takes it from the schema's
            `labels.attribution`.

    Raises:
        ValueError: if a model is made without a window.

    Example:
        >>> from idefn_tf.models import feedback
        >>> feedback.WaitFeedback(window=7).window
        7.0
    """

    def __init__(self, window: PositiveOrNone = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = None if window is None else float(window)

    def for_model(self) -> LabelLikelihood:
        """Returns a clone with variables of its own; see `LabelLikelihood`."""
        if self.window is None:
            raise ValueError(
                "feedback.window: must be the length of the attribution window in days, received "
                "none;\nname it in the schema's labels.attribution: {window_hours: ..., from: "
                "click}, or give window="
            )
        return super().for_model()

    @property
    def days(self) -> float:
        """The window's length; a model's likelihood has one."""
        assert self.window is not None
        return self.window

    def closed(self, clicks: Clicks) -> tf.Tensor:
        """1 where the window is over, so that the label is final."""
        return as_number(clicks.elapsed >= self.days)

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), "window": self.window}
