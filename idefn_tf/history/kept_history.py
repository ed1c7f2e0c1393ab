"""What a prepared folder keeps of history, and moments as people write them."""

from __future__ import annotations

from pathlib import Path

from idefn_tf._files import read_json
from idefn_tf.data.object_store import is_remote
from idefn_tf.history import event_log
from idefn_tf.history.as_of import lag, units
from idefn_tf.history.event_log import EventLog
from idefn_tf.schema import Labels, Schema, moments

#: In a prepared folder: its events, and the priors of rates, beside its vocabularies.
EVENTS, PRIORS = "events.parquet", "_history.json"


def read_events(folder: str | Path, schema: Schema, name: str = "history") -> EventLog:
    """Reads the events of a prepared folder, also from a bucket.

    Args:
        folder: the folder, or its address.
        schema: whose rules the events' times must follow.
        name: of the option or argument, for errors.

    Raises:
        ValueError: if it has none, or other rules made their times.
    """
    path = f"{str(folder).rstrip('/')}/{EVENTS}"
    if not is_remote(path) and not Path(path).is_file():
        raise ValueError(
            f"{name}: {folder} must be a prepared folder with {EVENTS}, received one without;\n"
            "prepare it with a schema that has history"
        )
    _demand_same_times(folder, schema)
    return event_log.read(path)


def _demand_same_times(folder: str | Path, schema: Schema) -> None:
    """Refuses a prepared folder whose events were known by other rules than a schema's.

    Events are stored with the moments from which they are known; other rules would give other
    numbers without a word. Folders in a bucket are not looked at.

    Raises:
        ValueError: naming the rule that differs.
    """
    path = Path(folder) / "schema.yaml"
    if is_remote(str(folder)) or not path.is_file():
        return
    kept, wanted = _rules(Schema.load(path, kept=True)), _rules(schema)
    for name, value in wanted.items():
        if kept[name] != value:
            raise ValueError(
                f"events: {folder} must have {name} {value}, as the schema says, received "
                f"{kept[name]};\nprepare that folder with the same schema"
            )


def _rules(schema: Schema) -> dict[str, object]:
    labels, history = schema.labels, schema.history
    window = labels.attribution
    return {
        "labels.time_unit": labels.time_unit,
        "labels.attribution": (window.window_hours, window.from_) if window else None,
        "history.lag": lag(history, labels),
        "history.conversion": schema.past.conversion,
    }


def read_priors(vocabularies: Path) -> dict[str, float]:
    """Reads the priors of rates that training learned.

    Raises:
        ValueError: if the folder has none.
    """
    path = vocabularies / PRIORS
    if not path.is_file():
        raise ValueError(
            f"history: {vocabularies} must hold {PRIORS}, received no such file;\nprepare the data "
            "anew"
        )
    found: dict[str, float] = read_json(path, "prepare the data anew")["priors"]
    return found


def read_moment(name: str, text: str, labels: Labels) -> int:
    """Reads a moment: a whole number in the schema's unit, or a day or time in its zone.

    Args:
        name: of the option, for errors.
        text: such as 2024-05-08, 2024-05-08T06:00 or 1715126400.
        labels: say unit and zone.

    Raises:
        ValueError: naming the option.
    """
    try:
        return moments.read_moment(text, labels.time_unit, labels.time_zone)
    except ValueError:
        raise ValueError(
            f"{name}: must be a moment such as 2024-05-08, 2024-05-08T06:00 or "
            f"{1_715_126_400 * units(labels)} ({labels.time_unit}), received {text!r}"
        ) from None
