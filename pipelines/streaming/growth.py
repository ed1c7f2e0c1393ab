"""Growth: ids that a stream brings enter the headroom of their vocabularies.

An id enters once `min_count` exposures held it, the most frequent first, as `prepare --base` lets
it. Known ids keep their places; where the headroom is full, new ones stay in the row of unknown
ids, and are counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf._files import read_json, write_text
from idefn_tf.data.vocabularies import count_values, vocabularies_of
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.schema import Feature, Schema
from pipelines.preparation.vocabularies import capacity

GROWTH, GROWN = "growth.json", "grown.json"
#: What earlier releases wrote in place of growth.json.
VOCABULARIES, WAITING = "vocabularies", "waiting.json"
_CURE = "delete the stream's folder to begin anew"


class _Known:
    """The values of a vocabulary, as batches hold them: integers, or text in UTF-8."""

    def __init__(self) -> None:
        self.numbers, self.texts = np.empty(0, np.int64), set[bytes]()

    def add(self, values: Sequence[Any]) -> None:
        """Takes further ones in."""
        if values and isinstance(values[0], str):
            self.texts.update(value.encode() for value in values)
        elif values:
            self.numbers = np.concatenate([self.numbers, np.array(values, np.int64)])

    def lacks(self, values: np.ndarray) -> np.ndarray:
        """Returns which of these distinct values are not in it."""
        if np.issubdtype(values.dtype, np.integer):
            return ~np.isin(values, self.numbers, assume_unique=True)
        return np.array([value not in self.texts for value in values.tolist()], bool)


@dataclass
class Growth:
    """Vocabularies, and what has been seen of ids that are in none.

    Attributes:
        schema: names the features.
        learned: by feature, as a run keeps them, with their capacity.
        waiting: by feature, unknown ids and how often they came.
        grown: what the last hour changed, by feature: the ids that entered, and those that wait
            with how often they have come.
    """

    schema: Schema
    learned: dict[str, dict[str, Any]]
    waiting: dict[str, dict[Any, int]]
    grown: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    _known: dict[str, _Known] = field(init=False)

    def __post_init__(self) -> None:
        self._known = {f.name: _Known() for f in _growing(self.schema)}
        for name, known in self._known.items():
            known.add(self.learned[name]["values"])

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
        said, self.grown = {}, {}
        for feature in _growing(self.schema):
            seen = self._see(feature, arrays)
            found, waiting = self.learned[feature.name], self.waiting[feature.name]
            ready = [value for value, count in waiting.items() if count >= feature.min_count]
            ready.sort(key=lambda value: (-waiting[value], _order(value)))
            fresh = ready[: found["capacity"] - len(found["values"])]
            self._enter(feature.name, fresh)
            left = [[value, waiting[value]] for value in seen if value in waiting]
            self.grown[feature.name] = {"values": fresh, "waiting": left}
            said[feature.name] = {
                "new": len(fresh),
                "places_left": found["capacity"] - len(found["values"]),
                "no_place": len(ready) - len(fresh),
            }
        return said

    def save(self, folder: Path) -> None:
        """Writes the vocabularies, and what waits."""
        waiting = {name: [*map(list, seen.items())] for name, seen in self.waiting.items()}
        _write(folder / GROWTH, {"learned": self.learned, "waiting": waiting})

    def save_grown(self, folder: Path) -> None:
        """Writes what the last hour changed alone."""
        _write(folder / GROWN, self.grown)

    @classmethod
    def load(
        cls,
        schema: Schema,
        folder: Path,
        later: Sequence[Path] = (),
        cure: Callable[[int], str] = lambda hour: _CURE,
    ) -> Growth:
        """Reads what `save` wrote, and what `save_grown` wrote in the hours after it.

        Args:
            schema: names the features.
            folder: of the whole state.
            later: the folders of the hours after it, in their order.
            cure: of an hour's number, says what helps where its file is missing or damaged.

        Raises:
            ValueError: naming that file.
        """
        if (folder / WAITING).is_file():  # of an earlier release
            found = {"learned": read_vocabularies(folder / VOCABULARIES)}
            found |= {"waiting": read_json(folder / WAITING, _CURE)}
        else:
            found = read_json(folder / GROWTH, _CURE)
        seen = {name: dict(pairs) for name, pairs in found["waiting"].items()}
        growth = cls(schema, found["learned"], seen)
        for hour in later:
            path = hour / GROWN
            helps = cure(int(hour.name))
            if not path.is_file():
                raise ValueError(f"hours: must hold {path}, received none;\n{helps}")
            for name, changed in read_json(path, helps).items():
                growth.waiting[name] |= dict(changed["waiting"])
                growth._enter(name, changed["values"])
        return growth

    def _enter(self, name: str, fresh: Sequence[Any]) -> None:
        found = self.learned[name]
        found["values"] = [*found["values"], *fresh]
        self._known[name].add(fresh)
        for value in fresh:
            self.waiting[name].pop(value, None)

    def _see(self, feature: Feature, arrays: Mapping[str, np.ndarray]) -> list[Any]:
        """Counts unknown ids; returns those that came."""
        known, waiting, seen = self._known[feature.name], self.waiting[feature.name], []
        values, counts = count_values(self.schema, feature, arrays)
        unknown = known.lacks(values)
        for value, count in zip(values[unknown], counts[unknown], strict=True):
            name = value.decode() if isinstance(value, bytes) else int(value)
            waiting[name] = waiting.get(name, 0) + int(count)
            seen.append(name)
        return seen


def _write(path: Path, value: Any) -> None:
    """Writes JSON without indents, which take ten times as long."""
    write_text(path, json.dumps(value, ensure_ascii=False, allow_nan=False))


def _growing(schema: Schema) -> list[Feature]:
    return [f for f in schema.features if f.kind == "vocabulary" and f.tied_to is None]


def _order(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
