"""Progress of fit: a bar on a terminal, lines in a log; rows per second and time left in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

from pipelines.cli.console import Console

#: Seconds between two lines within an epoch, in a log.
LINE_EVERY = 60.0
#: Seconds between two looks at a step's numbers, which wait for the device.
LOOK_EVERY = 0.5


class Progress(keras.callbacks.Callback):
    """Says how far training is: rows per second, pseudo-positive rate, time left.

    On a terminal a bar moves; in a log there is a line per epoch, and one per minute within a long
    epoch. A quiet console shows neither.

    Args:
        console: where to say it.
        rows: training rows of an epoch.
        epochs: at most so many; early stopping may need fewer.
        batch_size: rows of a step; by default `rows` divided by the steps.
    """

    def __init__(
        self, console: Console, rows: int, epochs: int, batch_size: int | None = None
    ) -> None:
        super().__init__()
        self.console, self.rows, self.epochs, self.batch_size = console, rows, epochs, batch_size
        self._bar: RichProgress | None = None
        self._began = self._epoch_began = self._trained = self._looked = self._said = 0.0
        self._steps = 0
        self._done = 0
        self._name = ""

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._began, self._done = time.monotonic(), 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the epoch's bar."""
        self._epoch_began = self._trained = self._looked = self._said = time.monotonic()
        self._steps, self._name = 0, f"epoch {epoch + 1}/{self.epochs}"
        if self.console.lively:
            self._bar = RichProgress(
                TextColumn("[blue]does[/]  {task.description}"),
                BarColumn(),
                TextColumn("{task.fields[said]}"),
                transient=True,
            )
            self._bar.start()
            self._bar.add_task(self._name, total=self.params.get("steps"), said="")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Moves the bar; in a log, says a line now and then."""
        self._trained = time.monotonic()
        self._steps += 1
        if self._bar is None and self._trained - self._said < LINE_EVERY:
            return
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
            if self._trained - self._looked < LOOK_EVERY:
                return
        self._looked = self._trained
        parts = [f"{self.rate():,.0f} rows/s"]
        if logs and "pseudo_positive_rate" in logs:
            share = float(logs["pseudo_positive_rate"])
            parts.append(f"{share:.2%} of the unclicked relabelled")
        total = self.params.get("steps")
        if total:
            spent = self._trained - self._epoch_began
            parts.append(f"{words(spent / self._steps * (total - self._steps))} left in this epoch")
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], said=", ".join(parts))
        else:
            self._said = self._trained
            share_done = f" {self._steps / total:.0%}" if total else f" step {self._steps:,}"
            self.console.step(f"{self._name},{share_done}, {', '.join(parts)}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Ends the bar and prints the epoch's line."""
        self._stop_bar()
        self._done += 1
        logs = logs or {}
        parts = [self._name]
        if "loss" in logs:
            parts.append(f"loss {float(logs['loss']):.4f}")
        for label, name in (
            ("validation CVR AUC all", "val_all_funnel/cvr_auc"),
            ("clicked", "val_clicked/cvr_auc"),
        ):
            if name in logs:
                parts.append(f"{label} {float(logs[name]):.4f}")
        if "pseudo_positives" in logs:
            parts.append(
                f"relabelled {float(logs['pseudo_positives']):,.0f} rows "
                f"({float(logs['pseudo_positive_rate']):.2%} of the unclicked)"
            )
        parts.append(f"{self.rate():,.0f} rows/s")
        to_come = self.epochs - epoch - 1
        if self.model is not None and self.model.stop_training:
            parts.append("stops early: validation no longer improves")
        elif to_come > 0:
            spent = (time.monotonic() - self._began) / self._done
            parts.append(f"{words(spent * to_come)} left at most")
        self.console.step(", ".join(parts))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Leaves no bar behind."""
        self._stop_bar()

    def rate(self) -> float:
        """Rows per second of this epoch's training so far."""
        size = self.batch_size or self.rows / max(self.params.get("steps") or self._steps, 1)
        return size * self._steps / max(self._trained - self._epoch_began, 1e-9)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def words(seconds: float) -> str:
    """Writes a duration as people say it: "about 3 minutes"."""
    if seconds < 5:
        return "a few seconds"
    for unit, size, limit in (
        ("second", 1, 90),
        ("minute", 60, 90 * 60),
        ("hour", 3600, 48 * 3600),
    ):
        if seconds < limit:
            number = max(round(seconds / size), 1)
            if unit == "second":
                number = 5 * max(round(number / 5), 1)
            return f"about {number} {unit}{'' if number == 1 else 's'}"
    return f"about {round(seconds / 86400)} days"
