"""Progress of fit: a bar with rows per second on a terminal, a line an epoch in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from pipelines.console import Console


class Progress(keras.callbacks.Callback):
    """Says per epoch: loss, validation AUC, pseudo-positive rate, rows per second."""

    def __init__(self, console: Console, rows: int, epochs: int) -> None:
        super().__init__()
        self.console, self.rows, self.epochs = console, rows, epochs
        self._bar: RichProgress | None = None
        self._started = 0.0
        self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the epoch's bar."""
        self._started = self._trained = time.monotonic()
        if self.console.lively:
            self._bar = RichProgress(
                TextColumn("[blue]does[/]  epoch {task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                transient=True,
            )
            self._bar.start()
            self._bar.add_task(f"{epoch + 1}/{self.epochs}", total=self.params.get("steps"))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Moves the bar."""
        self._trained = time.monotonic()
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Ends the bar and prints the epoch's line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        logs = logs or {}
        rate = self.rows / max(self._trained - self._started, 1e-9)
        parts = [f"epoch {epoch + 1}/{self.epochs}", f"loss {float(logs['loss']):.4f}"]
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
        parts.append(f"{rate:,.0f} rows/s")
        self.console.step(", ".join(parts))
