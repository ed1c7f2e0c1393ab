"""A made shop whose exposures, clicks and conversions have times: its schema."""

from idefn_tf.schema import Schema

HOUR = 3600
DAY = 24 * HOUR
START = 1_714_521_600  # 2024-05-01


def timed_schema(hours, start="click", **labels):
    """Seconds of three times, and a window of so many hours."""
    return Schema.parse(
        {
            "name": "shop",
            "labels": {
                "click": "clicked",
                "conversion": "bought",
                "exposure_time": "shown_at",
                "click_time": "clicked_at",
                "conversion_time": "bought_at",
                "time_unit": "s",
                "attribution": {"window_hours": hours, "from": start},
                **labels,
            },
            "features": [{"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
        }
    )
