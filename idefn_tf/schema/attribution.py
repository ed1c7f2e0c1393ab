"""Attribution window: how long after an exposure or a click a conversion still counts as its own.

Source: Chapelle, Modeling Delayed Feedback in Display Advertising, KDD 2014.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_serializer

from idefn_tf.schema.strict import Strict


class Attribution(Strict):
    """The attribution window of a conversion.

    Attributes:
        window_hours: its length.
        from_: where it begins, the key `from`: at the exposure or at the click.

    Example:
        >>> from idefn_tf.schema import Attribution
        >>> window = Attribution.model_validate({"window_hours": 24, "from": "exposure"})
        >>> window.window_hours, window.from_
        (24.0, 'exposure')
    """

    window_hours: float = Field(gt=0, description="length of the window")
    from_: Literal["click", "exposure"] = Field(alias="from", description="where it begins")

    @model_serializer
    def _plain(self) -> dict[str, Any]:
        return {"window_hours": self.window_hours, "from": self.from_}
