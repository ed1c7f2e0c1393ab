"""Row deltas: what an hour changed in a learner's state, rows of embedding tables by number.

A state is all that training changes: weights, moments, clocks, random states. Of a table, and of
what its optimizer keeps beside it, a delta holds the rows that the hour scored or trained on; of
everything else the whole, which is small. A state and the deltas after it are, bit by bit, the
state of the last hour; only the sums of metrics, which begin anew with every `fit`, are left out.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from idefn_tf.optimizers import rows_written
from pipelines.experiment.checkpoint import Snapshot, state_variables, write_arrays

_HEAD = "head"


@dataclass(frozen=True)
class RowDelta:
    """What changed between the ends of two hours.

    Attributes:
        hour: the later one; the earlier is the one before.
        count: how many variables the state has.
        whole: values of variables, by their place in the state.
        rows: (row numbers, their values) of the others.
        whole_nbytes: bytes of the whole state, where it is known.
    """

    hour: int
    count: int
    whole: dict[int, np.ndarray]
    rows: dict[int, tuple[np.ndarray, np.ndarray]]
    whole_nbytes: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        parts = [part for pair in self.rows.values() for part in pair]
        return sum(array.nbytes for array in (*self.whole.values(), *parts))

    @classmethod
    def of(
        cls, model: keras.Model, hour: int, step: int, further: Mapping[int, np.ndarray]
    ) -> RowDelta:
        """Reads what changed since a state was saved.

        Args:
            model: built and compiled, its optimizer built.
            hour: the one that ends.
            step: how many steps the saved state had behind it.
            further: rows that were brought up to date besides, by the table's `id`.
        """
        rows: dict[int, np.ndarray] = {}
        for table, state, written in rows_written(model.optimizer, step) or ():
            found = np.union1d(written, further.get(id(table), written[:0])).astype(np.int32)
            rows[id(table)] = rows[id(state)] = found
        parts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        whole: dict[int, np.ndarray] = {}
        sums = {id(variable) for metric in model.metrics for variable in metric.variables}
        variables, total = state_variables(model), 0
        for place, variable in enumerate(variables):
            if id(variable) in rows:
                found = rows[id(variable)]
                values = tf.gather(variable.value, found).numpy()
                parts[place] = (found, values)
                total += int(variable.shape[0]) * values.itemsize * int(variable.shape[1])
            elif id(variable) not in sums:
                whole[place] = np.asarray(keras.ops.convert_to_numpy(variable))
                total += whole[place].nbytes
        return cls(hour, len(variables), whole, parts, total)

    def apply(self, values: list[np.ndarray]) -> None:
        """Writes the changes into the values of the state before."""
        for place, value in self.whole.items():
            values[place] = value
        for place, (rows, changed) in self.rows.items():
            values[place][rows] = changed

    def save(self, path: Path) -> None:
        """Writes the delta, whole or not at all."""
        head = json.dumps({"hour": self.hour, "count": self.count})
        arrays = {_HEAD: np.frombuffer(head.encode(), np.uint8)}
        arrays |= {f"{place:05d}": value for place, value in self.whole.items()}
        for place, (rows, values) in self.rows.items():
            arrays |= {f"{place:05d}.rows": rows, f"{place:05d}.values": values}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path, cure: str) -> RowDelta:
        """Reads a delta.

        Args:
            path: the file.
            cure: what helps where it is damaged, for the message.

        Raises:
            ValueError: naming the file, if it is missing or damaged.
        """
        whole: dict[int, np.ndarray] = {}
        rows: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        try:
            with path.open("rb") as opened, np.load(opened) as file:
                head = json.loads(file[_HEAD].tobytes())
                for name in file.files:
                    place, _, kind = name.partition(".")
                    if kind == "values":
                        rows[int(place)] = (file[f"{place}.rows"], file[name])
                    elif not kind and name != _HEAD:
                        whole[int(place)] = file[name]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"hours: must hold a whole {path}, received one that cannot be read ({error});\n"
                f"{cure}"
            ) from None
        return cls(head["hour"], head["count"], whole, rows)


def nbytes(state: Snapshot) -> int:
    """Returns the bytes of a whole state's arrays."""
    return sum(value.nbytes for value in state.values)
