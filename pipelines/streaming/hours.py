"""Hours of a stream on disk: each appears whole, with all that the next one begins with.

::

    hours/000007/   hour.json       what was done, and how many arrivals it has behind it
                    scores.parquet  the exposures' scores before the hour was learned
                    NAME.delta.npz  of every learner: the rows that changed in the hour, and
                                    what is no table (`RowDelta`)
                    grown.json      ids that entered or wait

or, where the changes since the last whole state would pass half of its bytes, a whole state::

                    NAME.npz        weights, moments, clocks, random states
                    growth.json     vocabularies, and ids that wait

`hours/pretrained/` is the whole state that hour 0 begins with. An hour is built beside its place
and renamed, so that a kill leaves it whole or away. States are kept from the last whole one but
one on; scores stay.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from idefn_tf._files import atomic_folder, read_json, write_json
from idefn_tf.schema import Schema
from pipelines.experiment.checkpoint import Snapshot
from pipelines.streaming.growth import GROWN, GROWTH, VOCABULARIES, WAITING, Growth
from pipelines.streaming.row_delta import RowDelta

START, HOUR, SCORES, DELTA = "pretrained", "hour.json", "scores.parquet", ".delta.npz"
#: The share of a whole state's bytes that the changes after it may take.
_MOST = 0.5
_ANEW = "delete the stream's folder to begin anew"
_STATES = ("*.npz", GROWTH, GROWN, WAITING)


@dataclass(frozen=True)
class Hours:
    """The folder of hours.

    Attributes:
        root: where they lie.
    """

    root: Path

    @property
    def start(self) -> Path:
        """What hour 0 begins with."""
        return self.root / START

    def place(self, hour: int) -> Path:
        """Returns the folder of an hour; -1 is pretraining."""
        return self.start if hour < 0 else self.root / f"{hour:06d}"

    def done(self) -> list[int]:
        """Lists the hours that are over."""
        return sorted(int(path.name) for path in self.root.glob("[0-9]*") if path.name.isdigit())

    def latest(self) -> int | None:
        """Returns the hour to go on from, -1 for pretraining; None where not even that is over."""
        done = self.done()
        return done[-1] if done else -1 if self.start.is_dir() else None

    def base(self, hour: int) -> int:
        """Returns the hour of the whole state that an hour's changes are told from."""
        return int(self.told(self.place(hour)).get("saved", {}).get("base", hour))

    def saved(self, hour: int, changed: int, whole: int) -> dict[str, int]:
        """Returns how the next hour is saved, as its hour.json says it.

        Args:
            hour: the next one.
            changed: bytes of what it changed.
            whole: bytes of the whole state.

        Returns:
            "base": the hour of the whole state that it builds on, itself where it is one; "bytes"
            that it writes; and "since_base", all that has been written upon that state.
        """
        before = self.told(self.place(hour - 1)).get("saved")
        if before is not None and before["since_base"] + changed <= _MOST * whole:
            taken = before["since_base"] + changed
            return {"base": before["base"], "bytes": changed, "since_base": taken}
        return {"base": hour, "bytes": whole, "since_base": 0}

    def restored(self, name: str, hour: int) -> Snapshot:
        """Puts a learner's state together: a whole one, and the changes after it.

        Args:
            name: the learner's.
            hour: whose end the state is of.

        Raises:
            ValueError: naming the file that is missing or damaged, and what helps.
        """
        base = self.base(hour)
        state = Snapshot.load(self.place(base) / f"{name}.npz", self.cure(base))
        for later in range(base + 1, hour + 1):
            path, cure = self.delta(name, later), self.cure(later)
            delta = RowDelta.load(path, cure)
            if (delta.hour, delta.count) != (later, len(state.values)):
                raise ValueError(
                    f"hours: must hold in {path} the changes of hour {later} to "
                    f"{len(state.values)} variables, received those of hour {delta.hour} to "
                    f"{delta.count};\n{cure}"
                )
            delta.apply(state.values)
        return state

    def growth(self, schema: Schema, hour: int) -> Growth:
        """Puts the vocabularies of an hour's end together, as `restored` does with learners."""
        base = self.base(hour)
        later = [self.place(after) for after in range(base + 1, hour + 1)]
        return Growth.load(schema, self.place(base), later, self.cure)

    def delta(self, name: str, hour: int) -> Path:
        """Returns the file of a learner's changes in an hour."""
        return self.place(hour) / f"{name}{DELTA}"

    def cure(self, hour: int) -> str:
        """Says how a stream goes on where what an hour saved is lost."""
        if hour < 0 or not self._has_state(hour - 1):
            return _ANEW
        return f"delete {self.place(hour)} and all later hours: the stream goes on with hour {hour}"

    @contextmanager
    def transaction(self, path: Path) -> Iterator[Path]:
        """Gives a folder to build a state in, which takes its name at the end, whole."""
        with atomic_folder(path) as building:
            yield building

    def prune(self) -> None:
        """Removes the states, not the scores, of hours before the last whole state but one."""
        last = self.done()[-1]
        base = self.base(last)
        first = base if base < 0 else self.base(base - 1)
        held = itertools.takewhile(self._has_state, reversed(range(first)))
        for hour in sorted(held):  # the oldest first: a kill leaves those that are next to the rest
            place = self.place(hour)
            for state in (path for pattern in _STATES for path in place.glob(pattern)):
                state.unlink()
            shutil.rmtree(place / VOCABULARIES, ignore_errors=True)

    def _has_state(self, hour: int) -> bool:
        return next(self.place(hour).glob("*.npz"), None) is not None

    def told(self, path: Path) -> dict[str, Any]:
        """Reads what a state says of itself."""
        return read_json(path / HOUR, _ANEW)

    def scores(self, hour: int) -> dict[str, np.ndarray]:
        """Reads the scores of an hour: "row", and "LEARNER/SCORE" by learner."""
        table = pq.read_table(self.place(hour) / SCORES)
        return {name: table[name].to_numpy() for name in table.column_names}


def write_state(folder: Path, states: Mapping[str, Snapshot], growth: Growth) -> None:
    """Writes whole states of learners, and the vocabularies."""
    for name, state in states.items():
        state.save(folder / f"{name}.npz")
    growth.save(folder)


def write_changes(folder: Path, changes: Mapping[str, RowDelta], growth: Growth) -> None:
    """Writes what an hour changed."""
    for name, delta in changes.items():
        delta.save(folder / f"{name}{DELTA}")
    growth.save_grown(folder)


def write_hour(folder: Path, told: dict[str, Any], scores: dict[str, np.ndarray]) -> None:
    """Writes what an hour says of itself, and its scores."""
    write_json(folder / HOUR, told)
    if scores:
        pq.write_table(pa.table(scores), folder / SCORES)
