"""Watch: warnings in plain words while a run trains, and the audit of its pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from pipelines.config import Config
from pipelines.console import Console
from pipelines.prepared import Prepared
from pipelines.runs import Run

#: A predicted mean CVR below this on unclicked rows is called a collapse.
COLLAPSE = 1e-6
#: An AUC above this is called a leak.
LEAK = 0.999


class Watch(keras.callbacks.Callback):
    """Looks at an epoch's numbers and says what is probably wrong."""

    def __init__(
        self, data: Prepared, config: Config, run: Run, console: Console, first_epoch: int = 0
    ) -> None:
        super().__init__()
        self.data, self.config, self.run = data, config, run
        self.console, self.first_epoch = console, first_epoch

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Warns of collapse and leaks."""
        logs = logs or {}
        if float(logs.get("mean_cvr_unclicked", 1.0)) < COLLAPSE:
            self.console.warn(
                f"the mean CVR of unclicked rows is {float(logs['mean_cvr_unclicked']):.1e}: the "
                "model calls everything below the click negative"
            )
        for name, value in logs.items():
            if name.startswith("val_") and name.endswith("_auc") and float(value) > LEAK:
                self.console.warn(
                    f"{name} is {float(value):.4f}: is a label among the features? See "
                    "never_features in the schema."
                )
