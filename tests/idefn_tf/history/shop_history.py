"""A shop whose history every measure, window and sequence looks at."""

from idefn_tf.schema import Attribution, Schema

PRIORS = {"click": 0.25, "conversion": 0.125}
USER = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
ITEM = {"name": "item", "dtype": "string", "side": "item", "kind": "vocabulary"}
LABELS = {"click": "c", "conversion": "v", "exposure_time": "at", "time_unit": "s"}
EVENTS = ["exposure", "click", "conversion"]
AGGREGATES = [
    {
        "key": "user",
        "events": EVENTS,
        "measures": ["count", "rate", "hours_since"],
        "windows": ["1h", "2d", "all"],
    },
    {
        "key": ["user", "item"],
        "events": ["click", "conversion"],
        "measures": ["count", "rate", "sum"],
        "windows": ["6h", "all"],
        "value": "price",
    },
    {"key": "item", "events": ["conversion"], "measures": ["rate", "hours_since"]},
]
SEQUENCES = [
    {
        "name": "clicks",
        "key": "user",
        "condition": "clicked",
        "items": ["item"],
        "length": 3,
        "gap_hours": [1, 24],
    },
    {"name": "bought", "key": "item", "condition": "converted", "items": ["item"], "length": 2},
]


def schema_of(labels=(), **history):
    labels = dict(labels)
    window = labels.pop("attribution", None)
    schema = Schema.parse(
        {
            "name": "shop",
            "features": [USER, ITEM],
            "labels": {**LABELS, **labels},
            "history": {"aggregates": AGGREGATES, **history},
            "sequences": SEQUENCES,
        }
    )
    if window is None:
        return schema
    # schemas refuse windows from the click as long as preparation cannot do them
    labels = schema.labels.model_copy(update={"attribution": Attribution.model_validate(window)})
    return schema.model_copy(update={"labels": labels})


SCHEMA = schema_of()
