"""A config's feedback and the prepared data: the attribution window, and labels that are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idefn_tf._options import options_of
from idefn_tf.models.feedback import FEEDBACKS, LabelLikelihood
from idefn_tf.schema import FEEDBACK_LABELS, Schema
from pipelines.experiment.config_groups import NAMES

#: How data get the times that a likelihood learns from.
CURE = (
    "to have times, write in the schema, under labels: exposure_time, click_time and "
    "conversion_time (columns), attribution: {window_hours: HOURS, from: click}, immature: keep; "
    "and prepare the log again"
)


def make_feedback(settings: Mapping[str, Any], schema: Schema) -> LabelLikelihood:
    """Builds a label likelihood from {"name": ..., and its arguments}.

    One that needs an attribution window takes the schema's where the config names none.

    Args:
        settings: the config's `feedback`.
        schema: of the prepared data.

    Raises:
        ValueError: if the schema has no times that its labels could come from, or no window.
    """
    arguments = dict(settings)
    name = arguments.pop("name", NAMES["feedback"])
    cls: Any = FEEDBACKS[name]
    window = schema.labels.attribution
    needed = [label for label in cls.labels if label in FEEDBACK_LABELS]
    if needed and not schema.labels.delayed:
        others = [n for n, c in FEEDBACKS.items() if not set(c.labels) & set(FEEDBACK_LABELS)]
        raise ValueError(
            f"name: must be one of {others} on data without times, received {name!r}, which "
            f"learns from {', '.join(needed)};\n" + CURE
        )
    if "window" in options_of(cls).model_fields and arguments.get("window") is None:
        if window is None:
            raise ValueError(
                f"window: must be given for {name!r}, received none, and the schema has no "
                "labels.attribution;\nwrite the days in which a click can convert, or " + CURE
            )
        arguments["window"] = window.window_hours / 24.0
    made: LabelLikelihood = cls(**arguments)
    return made


def dropped_note(likelihood: LabelLikelihood, schema: Schema) -> str | None:
    """Says that preparation left out the rows that a likelihood is there for; None where not."""
    labels = schema.labels
    wants = any(label in FEEDBACK_LABELS for label in likelihood.labels)
    if not wants or labels.attribution is None or labels.immature == "keep":
        return None
    return (
        "feedback: rows whose attribution window was open were "
        + ("left out" if labels.immature == "drop" else "weighed by their elapsed share")
        + " when the data were prepared; labels.immature: keep in the schema hands them over"
    )


def same_heads(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two feedbacks have the same heads: a run may go on with the other's model."""

    def heads(settings: Mapping[str, Any]) -> Any:
        settings = {"name": NAMES["feedback"], **settings}
        cls: Any = FEEDBACKS.get(settings["name"])
        if cls is None or not cls.heads:
            return None
        fields = options_of(cls).model_fields
        said = {n: settings.get(n, fields[n].default) for n in cls.head_options}
        return settings["name"], {name: tuple(values) for name, values in said.items()}

    return bool(heads(one) == heads(other))
