"""Rows through every door of one model: a table, the client, plain REST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.agreement import cell_forms, list_forms
from benchmarks.agreement.cell_forms import Column
from idefn_tf.data import open_dataset
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema
from serving.client import Client

#: By output, the scores of a batch.
Scores = dict[str, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """Rows of strange cells.

    Attributes:
        frame: the cells.
        typed: by input, what they mean.
        forms: by column, its form.
    """

    frame: pd.DataFrame
    typed: dict[str, list[Any]]
    forms: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """Where a door does not give the scores of plain REST.

    Attributes:
        door: which.
        row: within the batch; None where the door refuses the batch.
        cells: the row, where one is known.
        said: by how much, or the error.
    """

    door: str
    row: int | None
    cells: dict[str, Any]
    said: str


def draw(schema: Schema, rng: np.random.Generator, rows: int) -> Batch:
    """Draws a batch of rows; a column has one form throughout."""
    columns: dict[str, tuple[str, Column]] = {}
    for feature in schema.features:
        if feature.train_only:  # a request does not have it
            continue
        if feature.multi_valued:
            names = (feature.name, feature.weights_name)
            for name, column in zip(names, list_forms.draw(rng, feature, rows), strict=False):
                columns[name] = (str(column.cells.name), column)
        else:
            columns[feature.name] = (feature.source, cell_forms.draw(rng, feature, rows))
    return Batch(
        pd.DataFrame({source: column.cells for source, column in columns.values()}),
        {name: column.typed for name, (_, column) in columns.items()},
        {name: column.form for name, (_, column) in columns.items()},
    )


class Doors:
    """One exported model behind every door.

    Args:
        model: the model in Python.
        schema: of its raw rows.
        client: of a server that has the model's export.
    """

    def __init__(self, model: EntireSpaceModel, schema: Schema, client: Client) -> None:
        self.model, self.schema, self.client = model, schema, client

    def table(self, frame: pd.DataFrame) -> Scores:
        """Scores of `predict(open_dataset(...))`."""
        rows = open_dataset(self.schema, frame, labels=False, batch_size=len(frame))
        return _arrays(self.model.predict(rows, verbose=0))

    def client_frame(self, frame: pd.DataFrame) -> Scores:
        """Scores that the client gets for a DataFrame."""
        return _arrays(self.client.predict(frame))

    def client_rows(self, frame: pd.DataFrame) -> Scores:
        """Scores that the client gets for dictionaries."""
        columns = {str(name): list(values) for name, values in frame.items()}
        return _arrays(self.client.predict(_rows(columns)))

    def rest_columns(self, typed: dict[str, list[Any]]) -> Scores:
        """Scores that plain REST gives for columns."""
        return _arrays(self.client.send({"inputs": typed})["outputs"])

    def rest_rows(self, typed: dict[str, list[Any]]) -> Scores:
        """Scores that plain REST gives for rows."""
        answered = self.client.send({"instances": _rows(typed)})["predictions"]
        return {name: np.array([row[name] for row in answered]) for name in answered[0]}

    def compare(self, batch: Batch, tolerance: float = 1e-6) -> Iterator[Difference]:
        """Yields every difference from what plain REST says of the typed columns."""
        expected = self.rest_columns(batch.typed)
        for door in (self.rest_rows, self.table, self.client_frame, self.client_rows):
            given: Any = batch.typed if door == self.rest_rows else batch.frame
            try:
                found = door(given)
            except (ValueError, TypeError) as error:
                yield Difference(door.__name__, None, {}, f"{type(error).__name__}: {error}")
                continue
            yield from self._differences(door.__name__, batch, found, expected, tolerance)

    def _differences(
        self, door: str, batch: Batch, found: Scores, expected: Scores, tolerance: float
    ) -> Iterator[Difference]:
        apart = np.max([np.abs(found[name] - expected[name]) for name in sorted(expected)], axis=0)
        for row in np.flatnonzero(~(apart <= tolerance)).tolist():
            cells = {str(name): batch.frame[name].iloc[row] for name in batch.frame}
            yield Difference(door, row, cells, f"{apart[row]:.2e} apart")


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _arrays(scores: Any) -> Scores:
    return {name: np.ravel(np.asarray(values, np.float64)) for name, values in scores.items()}


def refusals(doors: Doors, frame: pd.DataFrame, column: str, cell: Any) -> Sequence[str]:
    """Returns the doors of Python that take a row with a cell that means nothing."""
    wrong = frame.copy()
    wrong[column] = wrong[column].astype(object)
    wrong.at[wrong.index[-1], column] = cell
    taken = []
    for door in (doors.table, doors.client_frame, doors.client_rows):
        try:
            door(wrong)
        except ValueError:
            continue
        taken.append(door.__name__)
    return taken
