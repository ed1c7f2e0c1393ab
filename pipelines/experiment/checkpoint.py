"""Snapshots: everything that training changes, in one file, also in the middle of an epoch.

A snapshot holds the values of all variables (weights, moments, positive memory, random states and
the sums of the running epoch's metrics) and the position: the epoch, and how many of its batches
have been trained on. Nothing is brought up to date or rounded on the way, so that a run taken up
from it goes on bit by bit as if it had never stopped.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from idefn_tf._files import atomic_path
from idefn_tf.optimizers import RowSparse
from idefn_tf.optimizers.row_state import translated

_HEAD = "head"
#: A metric that snapshots of earlier releases do not hold.
_PENALTIES = "regularization/sums"


@dataclass(frozen=True)
class Snapshot:
    """A state of training.

    Attributes:
        epoch: the running epoch, from 0.
        batch: how many of its batches have been trained on.
        values: of the model's variables, in the order of `state_variables`.
        names: of these variables.
    """

    epoch: int
    batch: int
    values: list[np.ndarray]
    names: list[str]

    def save(self, path: Path) -> None:
        """Writes the snapshot; a kill or a full disk leaves the former one whole.

        Raises:
            OSError: naming the file, if it cannot be written.
        """
        head = json.dumps({"epoch": self.epoch, "batch": self.batch, "names": self.names})
        arrays = {_HEAD: np.frombuffer(head.encode(), np.uint8)}
        arrays |= {f"{i:05d}": value for i, value in enumerate(self.values)}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path, cure: str) -> Snapshot:
        """Reads a snapshot.

        Args:
            path: the file.
            cure: what helps where it is damaged, for the message.

        Raises:
            ValueError: if the file is none.
        """
        try:
            with path.open("rb") as opened, np.load(opened) as file:
                head = json.loads(file[_HEAD].tobytes())
                values = [file[f"{i:05d}"] for i in range(len(head["names"]))]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"snapshot: {path} cannot be read ({error}); {cure}") from None
        return cls(head["epoch"], head["batch"], values, head["names"])

    def restore(self, model: keras.Model, leave: Sequence[str] = ()) -> None:
        """Puts the values back into a model of the same form.

        Args:
            model: built and compiled, its optimizer built.
            leave: last parts of the paths of variables that keep their own values.

        Raises:
            ValueError: if the model has other variables.
        """
        variables = state_variables(model)
        if not any(name.endswith(_PENALTIES) for name in self.names):  # of an earlier release
            variables = [v for v in variables if not v.path.endswith(_PENALTIES)]
        values = self._values_for(model, variables)
        names = self.names if len(values) == len(self.names) else [v.path for v in variables]
        wanted = [(name, value.shape) for name, value in zip(names, values, strict=True)]
        found = [(v.path, tuple(v.shape)) for v in variables]
        if [shape for _, shape in wanted] != [shape for _, shape in found]:
            pairs = zip(wanted, found, strict=False)
            first = next((pair for pair in pairs if pair[0][1] != pair[1][1]), (wanted, found))
            raise ValueError(
                f"snapshot: the model's variables are others than the snapshot's, first {first}; "
                "delete checkpoints/step.npz to go on from the last whole epoch"
            )
        for variable, value in zip(variables, values, strict=True):
            if variable.path.rpartition("/")[2] not in leave:
                variable.assign(value)

    def _values_for(self, model: keras.Model, variables: list[Any]) -> list[np.ndarray]:
        """Returns the values, the optimizer's in the form that it has now."""
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        if not isinstance(optimizer, RowSparse) or abs(len(self.values) - len(variables)) != 1:
            return self.values
        ends = [name.rpartition("/")[2] == "log_decay" for name in self.names]
        if True not in ends and optimizer.log_decay is None:
            return self.values
        return translated(optimizer, variables, self.values, ends.index(True) if any(ends) else -1)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name as an .npz file, whole or not at all.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    # np.savez leaves its archive open after an error, which then complains when collected
    with atomic_path(path) as sibling, zipfile.ZipFile(sibling, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, value, allow_pickle=False)


def capture(model: keras.Model, epoch: int, batch: int) -> Snapshot:
    """Reads all that training changes; every worker must take part, since sums are added up."""
    variables = state_variables(model)
    values = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]
    return Snapshot(epoch, batch, values, [variable.path for variable in variables])


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """Lists the variables of a built and compiled model, its optimizer and its metrics, once."""
    listed: list[Any] = [*model.variables, *model.optimizer.variables]
    listed += [variable for metric in model.metrics for variable in metric.variables]
    return list({id(variable): variable for variable in listed}.values())
