"""The distinct rows of every batch, found in the input pipeline while the step before runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from idefn_tf.optimizers import Distinct, distinct

#: What a batch holds of the rows of a table beside "rows:<width>".
_ROWS, _COUNT, _POSITION = "distinct:{}", "count:{}", "position:{}"


def look_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set of encoded batches with the distinct rows of every table beside them.

    They belong to the batch as it is: a batch that is cut for several replicas has others.
    """

    def find(*element: Any) -> Any:
        encoded = dict(element[0])
        for name in element[0]:
            kind, _, width = name.partition(":")
            if kind != "rows" or width == "indicator":
                continue
            found = distinct(encoded[name])
            encoded[_ROWS.format(width)] = found.rows
            encoded[_COUNT.format(width)] = found.count
            encoded[_POSITION.format(width)] = found.position
        return (encoded, *element[1:]) if len(element) > 1 else encoded

    return dataset.map(find, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def found_rows(encoded: Mapping[str, tf.Tensor], width: str) -> Distinct:
    """Returns the distinct rows of a table that a batch asks for, found ahead or now."""
    if _ROWS.format(width) not in encoded:
        return distinct(encoded[f"rows:{width}"])
    names = (_ROWS.format(width), _COUNT.format(width), _POSITION.format(width))
    return Distinct(*(encoded[name] for name in names))
