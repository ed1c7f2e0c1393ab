"""Growth: ids that a stream brings enter the headroom of their vocabularies.

An id enters once `min_count` exposures held it, the most frequent first, as `prepare --base` lets
it. Known ids keep their places; where the headroom is full, new ones stay in the row of unknown
ids, and are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf._files import read_json, write_json
from idefn_tf.data.vocabularies import count_values, vocabularies_of
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.schema import Feature, Schema
from pipelines.preparation.vocabularies import capacity

VOCABULARIES, WAITING = "vocabularies", "waiting.json"


@dataclass
class Growth:
    """Vocabularies, and what has been seen of ids that are in none.

    Attributes:
        schema: names the features.
        learned: by feature, as a run keeps them, with their capacity.
        waiting: by feature, unknown ids and how often they came.
    """

    schema: Schema
    learned: dict[str, dict[str, Any]]
    waiting: dict[str, dict[Any, int]]

    @classmethod
    def begin(cls, schema: Schema, arrays: Mapping[str, np.ndarray]) -> Growth:
        """Learns from the rows that come before the stream."""
        learned = vocabularies_of(schema, arrays)
        for feature in _growing(schema):
            found = learned[feature.name]
            found["capacity"] = capacity(feature, found)
        grown = cls(schema, learned, {feature.name: {} for feature in _growing(schema)})
        for feature in _growing(schema):
            grown._see(feature, arrays)
        return grown

    def take(self, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, int]]:
        """Takes the exposures of an hour.

        Returns:
            By feature: how many ids are "new", the "places_left", and how many ids "no_place" was
            left for so far.
        """
        said = {}
        for feature in _growing(self.schema):
            self._see(feature, arrays)
            found, waiting = self.learned[feature.name], self.waiting[feature.name]
            ready = [value for value, count in waiting.items() if count >= feature.min_count]
            ready.sort(key=lambda value: (-waiting[value], _order(value)))
            fresh = ready[: found["capacity"] - len(found["values"])]
            found["values"] = [*found["values"], *fresh]
            for value in fresh:
                del waiting[value]
            said[feature.name] = {
                "new": len(fresh),
                "places_left": found["capacity"] - len(found["values"]),
                "no_place": len(ready) - len(fresh),
            }
        return said

    def save(self, folder: Path) -> None:
        """Writes the vocabularies, and what waits."""
        for name, found in self.learned.items():
            write_json(folder / VOCABULARIES / f"{name}.json", found)
        waiting = {name: [*map(list, seen.items())] for name, seen in self.waiting.items()}
        write_json(folder / WAITING, waiting)

    @classmethod
    def load(cls, schema: Schema, folder: Path) -> Growth:
        """Reads what `save` wrote."""
        waiting = read_json(folder / WAITING, "delete the stream's folder to begin anew")
        seen = {name: dict(pairs) for name, pairs in waiting.items()}
        return cls(schema, read_vocabularies(folder / VOCABULARIES), seen)

    def _see(self, feature: Feature, arrays: Mapping[str, np.ndarray]) -> None:
        known = set(self.learned[feature.name]["values"])
        waiting = self.waiting[feature.name]
        for value, count in zip(*count_values(self.schema, feature, arrays), strict=True):
            name = value.decode() if isinstance(value, bytes) else int(value)
            if name not in known:
                waiting[name] = waiting.get(name, 0) + int(count)


def _growing(schema: Schema) -> list[Feature]:
    return [f for f in schema.features if f.kind == "vocabulary" and f.tied_to is None]


def _order(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
