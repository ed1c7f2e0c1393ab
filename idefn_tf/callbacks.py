"""Callbacks for fit: epochs that can be resumed, selection that never leaks, numbers that stop."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from idefn_tf._files import atomic_path
from idefn_tf._registry import register
from idefn_tf.data import EpochClock
from idefn_tf.evaluation.spaces import require_selection_space
from idefn_tf.evaluation.worth import worth
from idefn_tf.models.training.loss_terms import REGULARIZATION


@register("callback")
class SetEpoch(keras.callbacks.Callback):
    """Shows the training data's clock which epoch begins, so that a resumed run has it again."""

    def __init__(self, clock: EpochClock) -> None:
        super().__init__()
        self.clock = clock

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Sets the clock."""
        self.clock.epoch = epoch


@register("callback")
class StopOnNonFinite(keras.callbacks.Callback):
    """Stops a run whose loss is no longer a number, and says which term it was.

    Raises:
        FloatingPointError: at the end of the epoch in which it happened; it is a ValueError too,
            so that a job tells it in one sentence.
    """

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at every loss term."""
        losses = {
            k: float(v)
            for k, v in (logs or {}).items()
            if ("loss" in k or REGULARIZATION in k) and "logloss" not in k
        }
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise _LossNotFiniteError(
                f"loss: must be finite, received {losses[bad[0]]:g} in epoch {epoch + 1} "
                f"({', '.join(bad)}); lower the learning rate, clip gradients "
                "(optimizer.global_clipnorm), or look for wild numeric inputs"
            )


class _LossNotFiniteError(FloatingPointError, ValueError):
    """What `StopOnNonFinite` raises."""


@register("callback")
class SelectBest(keras.callbacks.Callback):
    """Early stopping on validation, on a space that selection may see.

    Args:
        space: "all_funnel" or "clicked".
        metric: a CVR metric of the training metrics, such as "cvr_auc" or "cvr_logloss"; of
            "cvr_pcoc" the one nearest to 1 is best (`idefn_tf.evaluation.worth`).
        patience: the run stops after so many epochs without a better value, as
            ``keras.callbacks.EarlyStopping`` counts them (0 is 1). Both selection and patience
            begin anew with the first epoch in which the method acts: while a model says that it is
            `warming_up` (IdeFN before its first label), it trains as another method does.
        path: where the best model goes (a .keras file), written beside and renamed.

    Raises:
        ValueError: if selection must not look at `space`, or the metric is not among the logs.
    """

    def __init__(
        self,
        space: str = "all_funnel",
        metric: str = "cvr_auc",
        patience: int = 3,
        path: str | Path | None = None,
    ) -> None:
        super().__init__()
        require_selection_space(space)
        if patience < 0:
            raise ValueError(f"patience: must be 0 or more, received {patience}")
        self.monitor = f"val_{space}/{metric}"
        self.patience, self.path = patience, None if path is None else Path(path)
        self.best = -math.inf
        self.best_epoch = -1
        self.wait = 0
        self.warming_up = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the better model; stops after `patience` epochs without one."""
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(
                f"metric: {self.monitor!r} is not among the metrics of fit, received "
                f"{sorted(logs)}; pass validation_data, or choose one of these."
            )
        value = worth(self.monitor, float(logs[self.monitor]))
        before, self.warming_up = self.warming_up, bool(getattr(self.model, "warming_up", False))
        if before and not self.warming_up:
            self.best, self.best_epoch, self.wait = -math.inf, -1, 0
        # a first epoch counts even where the metric is undefined (one class in validation)
        if value > self.best or self.best_epoch < 0:
            self.best = value if math.isfinite(value) else -math.inf
            self.best_epoch, self.wait = epoch, 0
            if self.path is not None:
                save_model(self.model, self.path)
        elif not self.warming_up:
            self.wait += 1
            if self.wait >= max(self.patience, 1):
                self.model.stop_training = True

    def state(self) -> dict[str, Any]:
        """Returns what a resumed run needs."""
        best = self.best if math.isfinite(self.best) else None
        return {
            "best": best,
            "best_epoch": self.best_epoch,
            "wait": self.wait,
            "warming_up": self.warming_up,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a saved state."""
        self.best = -math.inf if state["best"] is None else state["best"]
        self.best_epoch, self.wait = state["best_epoch"], state["wait"]
        self.warming_up = state.get("warming_up", False)


@register("callback")
class HistoryCSV(keras.callbacks.Callback):
    """Writes history.csv after every epoch: one row an epoch, from 1, whole or not at all."""

    def __init__(self, path: str | Path, epochs: int | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        if epochs and self.path.is_file():
            self.rows = list(read_history(self.path))[:epochs]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Adds the epoch's numbers."""
        self.rows.append({"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}})
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with (
            atomic_path(self.path) as sibling,
            sibling.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Reads history.csv or audit.csv: text by name, and "epoch" a whole number from 1.

    Earlier releases counted from 0: a file that begins so is counted anew.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    first = int(float(rows[0]["epoch"])) if rows else 1
    return [{**row, "epoch": int(float(row["epoch"])) + (first == 0)} for row in rows]


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a whole model (.keras), or leaves the former one."""
    with atomic_path(path) as sibling:
        model.save(sibling)
