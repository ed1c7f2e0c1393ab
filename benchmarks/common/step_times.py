"""How long a training step takes, seen from Keras' callbacks."""

from __future__ import annotations

import statistics
import time
from typing import Any

import keras


class Steps(keras.callbacks.Callback):
    """Notes how long every step took but the first one of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.milliseconds: list[float] = []
        self._ended: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Forgets when the last step ended: an epoch's first one waits for its input to begin."""
        self._ended = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Notes the time since the step before ended."""
        now = time.perf_counter()
        if self._ended is not None:
            self.milliseconds.append(1e3 * (now - self._ended))
        self._ended = now

    def median(self) -> float:
        """Returns the median milliseconds of a step."""
        return statistics.median(self.milliseconds)
