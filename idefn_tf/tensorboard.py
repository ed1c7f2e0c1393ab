"""TensorBoard: scalars by space, CVR histograms on both sides of the click, profiles on demand."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.evaluation.spaces import SPACES
from idefn_tf.schema import CLICK

#: The groups of scalars beside the spaces: (prefix of the metric's name, group).
_GROUPS = (
    ("transport_", "transport"),
    ("pseudo_", "pseudo_labels"),
    ("mean_cvr_", "mean_cvr"),
)


@register("callback")
class TensorBoardTracking(keras.callbacks.Callback):
    """Writes a run's numbers for TensorBoard.

    Every metric of a space stands under the space's name (``all_funnel/cvr_auc``), in the runs
    ``train`` and ``validation``; losses, transport and audit have groups of their own. After each
    epoch come histograms of the predicted CVR, on clicked and on unclicked rows apart: a method
    that calls everything below the click negative shows it there.

    Args:
        log_dir: TensorBoard's folder.
        rows: a data set with labels, in a fixed order, for the histograms; or none.
        histogram_rows: at most so many of them.
        profile: (first, last) training step to be profiled, counted from 1 over all epochs.

    Raises:
        ValueError: if tensorboard is not installed, or `profile` is no rising pair from 1 on.
    """

    def __init__(
        self,
        log_dir: str | Path,
        rows: tf.data.Dataset | None = None,
        histogram_rows: int = 50_000,
        profile: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        require_tensorboard()
        if histogram_rows < 1:
            raise ValueError(f"histogram_rows: must be 1 or more, received {histogram_rows}")
        if profile is not None and not 1 <= profile[0] <= profile[1]:
            raise ValueError(f"profile: must be two steps (first, last) from 1, received {profile}")
        self.log_dir, self.histogram_rows, self.profile = Path(log_dir), histogram_rows, profile
        self._rows = rows
        self._click: np.ndarray | None = None
        self._writers: dict[str, Any] = {}
        self._step = 0
        self._profiling = False

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts a profile at its first step."""
        self._step += 1
        if self.profile is not None and self._step == self.profile[0]:
            tf.profiler.experimental.start(str(self.log_dir / "train"))
            self._profiling = True

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Ends a profile after its last step."""
        if self._profiling and self.profile is not None and self._step >= self.profile[1]:
            self._stop_profile()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the epoch's scalars and histograms."""
        for name, value in (logs or {}).items():
            part, metric = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            with self._writer(part).as_default():
                tf.summary.scalar(tag(metric), float(value), step=epoch)
        if self._rows is not None:
            self._write_histograms(epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Closes every file."""
        self._stop_profile()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write_histograms(self, epoch: int) -> None:
        if self._click is None:
            self._click, self._rows = _head(self._rows, self.histogram_rows)
        cvr = np.asarray(self.model.predict(self._rows, verbose=0)["cvr"]).reshape(-1)
        with self._writer("validation").as_default():
            for side, chosen in (("clicked", self._click > 0.5), ("unclicked", self._click < 0.5)):
                if chosen.any():
                    tf.summary.histogram(f"cvr/{side}", cvr[chosen], step=epoch)

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(str(self.log_dir / part))
        return self._writers[part]

    def _stop_profile(self) -> None:
        if self._profiling:
            tf.profiler.experimental.stop()
            self._profiling = False


def require_tensorboard() -> None:
    """Says how to get tensorboard where it is missing.

    Raises:
        ValueError: if it is.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "tensorboard: must be installed to write its files; pip install 'idefn-tf[tuning]' "
            "(newer TensorFlow does not bring it)"
        )


def tag(metric: str) -> str:
    """Returns the name under which TensorBoard groups a metric: "<group>/<metric>"."""
    head = metric.partition("/")[0]
    if head in SPACES or head == "audit":
        return metric
    if metric.endswith("loss"):
        return f"loss/{metric}"
    for prefix, group in _GROUPS:
        if metric.startswith(prefix):
            return f"{group}/{metric}"
    return f"other/{metric}"


def _head(rows: Any, limit: int) -> tuple[np.ndarray, tf.data.Dataset]:
    """The clicks of the first batches that hold `limit` rows, and those batches."""
    clicks: list[np.ndarray] = []
    for batch in rows:
        clicks.append(np.asarray(batch[1][CLICK]).reshape(-1))
        if sum(map(len, clicks)) >= limit:
            break
    return np.concatenate(clicks), rows.take(len(clicks))
