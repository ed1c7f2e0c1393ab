"""What a report is made of: a run's files, and its model's scores on rows it has not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idefn_tf._files import read_json
from idefn_tf.callbacks import read_history
from idefn_tf.evaluation.spaces import SPACES, evaluate_spaces
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import CARD, Prepared
from pipelines.reports.intervals import Draws, bootstrap, interval
from pipelines.reports.rows import Rows, read_rows, thin

#: Training rows read for the plan of a batch.
TRAIN_ROWS = 200_000


@dataclass
class RunMaterial:
    """One run: its files, and what its model says of the rows.

    Attributes:
        name: how the page calls it.
        run: its folder.
        rows: rows to be scored, or None where no data are at hand.
        foreign: whether the rows are no part of the data that the run was trained on.
    """

    name: str
    run: Run
    rows: Rows | None
    foreign: bool = False
    seed: int = 0
    _model: EntireSpaceModel | None = field(default=None, repr=False)

    @cached_property
    def config(self) -> Config:
        """The resolved config."""
        return self.run.config()

    @cached_property
    def schema(self) -> Schema:
        """The schema of the run's data."""
        return self.run.schema()

    @cached_property
    def card(self) -> dict[str, Any]:
        """The data card of the run's data."""
        return _json(self.run.root / CARD)

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """One entry an epoch; absent numbers are nan."""
        return _table(self.run.history_path)

    @cached_property
    def audit(self) -> list[dict[str, float]]:
        """One entry an audited epoch."""
        return _table(self.run.root / "audit.csv")

    @cached_property
    def best_epoch(self) -> int | None:
        """The selected epoch, counted from 0."""
        state = self.run.load_state() or {}
        value = state.get("select", {}).get("best_epoch")
        return None if value is None else int(value)

    @property
    def model(self) -> EntireSpaceModel:
        """The selected model."""
        if self._model is None:
            self._model = self.run.load_model(compile=False)  # scoring needs no optimizer
        return self._model

    @cached_property
    def scores(self) -> dict[str, NDArray]:
        """ctr, cvr and ctcvr of the rows."""
        if self.rows is None:
            raise ValueError("data: scores need rows; give --data")
        found = predict(self.model, self.schema, self.rows.table)
        return {name: np.asarray(value).reshape(-1) for name, value in found.items()}

    @cached_property
    def metrics(self) -> dict[str, dict[str, dict[str, Any]]]:
        """{part: {space: {metric: value}}}: the run's own, or anew on foreign rows."""
        known = {} if self.foreign else _json(self.run.metrics_path)
        if self.rows is not None and (self.foreign or self.rows.part not in known):
            known[self.rows.part] = evaluate_spaces(
                self.scores,
                self.rows.columns,
                sample_weight=self.rows.weight,
                groups=self.rows.users,
            )
        return known

    @cached_property
    def draws(self) -> Draws:
        """Metrics of the rows in each bootstrap draw; empty without rows."""
        if self.rows is None:
            return {}
        rows = self.rows
        return bootstrap(
            self.scores, rows.columns, rows.weight, rows.users, self.seed, items=rows.items
        )

    def interval(self, space: str, metric: str) -> tuple[float, float] | None:
        """Returns the 95 % interval of a metric on the rows, where there is one."""
        return interval(self.draws.get((space, metric)))


@dataclass
class Material:
    """Everything that the sections draw from.

    Attributes:
        main: the run that the page is about.
        others: runs beside it, scored on the same rows.
        data: the prepared data, or None.
        part: the part whose rows are scored.
        seed: of every draw.
    """

    main: RunMaterial
    others: list[RunMaterial]
    data: Prepared | None
    part: str
    seed: int = 0

    @property
    def rows(self) -> Rows | None:
        """The rows that every run was scored on."""
        return self.main.rows

    @property
    def everyone(self) -> Iterator[RunMaterial]:
        """The main run and then the others."""
        yield self.main
        yield from self.others

    @cached_property
    def spaces(self) -> list[str]:
        """The spaces that the part's metrics hold, in the order of reports."""
        found = self.main.metrics.get(self.part, {})
        return [name for name in SPACES if name in found]

    @cached_property
    def train_rows(self) -> Rows | None:
        """The first training rows, for the plan of a batch."""
        if self.data is None or "train" not in self.data.parts:
            return None
        return read_rows(self.data, self.main.schema, "train", TRAIN_ROWS)


def gather(
    run: Run,
    data: Prepared | None,
    compare: Sequence[Run],
    part: str | None = None,
    seed: int = 0,
) -> Material:
    """Collects a report's material; models are loaded when a section asks for them.

    Args:
        run: the run.
        data: prepared data to score, or None for what the run's files say alone.
        compare: runs to stand beside it.
        part: which part to score; by default test, or what there is.
        seed: of every draw.

    Raises:
        ValueError: if the part is not there.
    """
    rows = None
    if data is not None:
        part = part or next(p for p in ("test", "all", "validation", "train") if p in data.parts)
        rows = thin(read_rows(data, run.schema(), part, None))
    names = _names([run, *compare])
    found = [
        RunMaterial(name, each, rows, _is_foreign(each, data), seed)
        for name, each in zip(names, [run, *compare], strict=True)
    ]
    if part is None:
        known = found[0].metrics
        part = next((p for p in ("test", "all", "validation") if p in known), "test")
    return Material(found[0], found[1:], data, part, seed)


def find_data(run: Run) -> Prepared | None:
    """Looks for the data of a run where it was trained: as recorded, or in a folder beside it."""
    state = run.load_state() or {}
    fingerprint = _json(run.root / CARD).get("fingerprint")
    for place in filter(None, (state.get("data"), run.root.parent / "data")):
        with suppress(ValueError):  # nothing lies there any more, or a bucket is out of reach
            data = Prepared.open(place)
            if data.card.get("fingerprint") == fingerprint:
                return data
    return None


def _is_foreign(run: Run, data: Prepared | None) -> bool:
    if data is None:
        return False
    return _json(run.root / CARD).get("fingerprint") != data.card.get("fingerprint")


def _names(runs: Sequence[Run]) -> list[str]:
    """Calls every run by its method, and by its folder where two have the same."""
    methods = [run.config().method for run in runs]
    return [
        method if methods.count(method) == 1 else f"{method} ({run.root.name})"
        for method, run in zip(methods, runs, strict=True)
    ]


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return read_json(path)


def _table(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    return [
        {k: float(v) if v not in (None, "") else float("nan") for k, v in row.items()}
        for row in read_history(path)
    ]
