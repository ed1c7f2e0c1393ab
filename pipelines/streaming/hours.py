"""Hours of a stream on disk: each appears whole, with all that the next one begins with.

::

    hours/000007/   hour.json       what was done, and how many arrivals it has behind it
                    scores.parquet  the exposures' scores before the hour was learned
                    NAME.npz        of every learner: weights, moments, clocks, random states
                    vocabularies/, waiting.json

`hours/pretrained/` is what hour 0 begins with. An hour is built beside its place and renamed, so
that a kill leaves it whole or away. The last two keep their states; scores stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from idefn_tf._files import atomic_folder, read_json, write_json
from pipelines.streaming.growth import VOCABULARIES, WAITING

START, HOUR, SCORES = "pretrained", "hour.json", "scores.parquet"
_KEPT = 2
_CURE = "delete the stream's folder to begin anew"


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
        """Returns the folder of an hour."""
        return self.root / f"{hour:06d}"

    def done(self) -> list[int]:
        """Lists the hours that are over."""
        return sorted(int(path.name) for path in self.root.glob("[0-9]*") if path.name.isdigit())

    def latest(self) -> Path | None:
        """Returns the state to go on from; None where not even pretraining is over."""
        done = self.done()
        if done:
            return self.place(done[-1])
        return self.start if self.start.is_dir() else None

    @contextmanager
    def transaction(self, path: Path) -> Iterator[Path]:
        """Gives a folder to build a state in, which takes its name at the end, whole."""
        with atomic_folder(path) as building:
            yield building

    def prune(self) -> None:
        """Removes the states, not the scores, of all hours but the last two."""
        for hour in self.done()[:-_KEPT]:
            place = self.place(hour)
            for state in (*place.glob("*.npz"), place / WAITING):
                state.unlink(missing_ok=True)
            shutil.rmtree(place / VOCABULARIES, ignore_errors=True)

    def told(self, path: Path) -> dict[str, Any]:
        """Reads what a state says of itself."""
        return read_json(path / HOUR, _CURE)

    def scores(self, hour: int) -> dict[str, np.ndarray]:
        """Reads the scores of an hour: "row", and "LEARNER/SCORE" by learner."""
        table = pq.read_table(self.place(hour) / SCORES)
        return {name: table[name].to_numpy() for name in table.column_names}


def write_hour(folder: Path, told: dict[str, Any], scores: dict[str, np.ndarray]) -> None:
    """Writes what an hour says of itself, and its scores."""
    write_json(folder / HOUR, told)
    if scores:
        pq.write_table(pa.table(scores), folder / SCORES)
