"""What makes a run survive its end: snapshots inside an epoch, and a clean stop on SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from pipelines.experiment import checkpoint
from pipelines.experiment.checkpoint import Snapshot
from pipelines.experiment.config import Checkpoint
from pipelines.experiment.distribution import Cluster
from pipelines.experiment.run_folder import Run

#: The exit status of a run that SIGTERM stopped: 128 + 15, as shells say it.
TERMINATED = 143


class Terminated(Exception):  # noqa: N818  (an outcome, no error)
    """SIGTERM came; where the run stands has been saved."""


class Alarm:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.rung = False

    def ring(self, *_: Any) -> None:
        """Notes the signal; the training loop looks at the end of the batch."""
        self.rung = True


@contextmanager
def heeding_sigterm() -> Iterator[Alarm]:
    """Notes SIGTERM in place of dying at once; a second SIGTERM ends the process as ever."""
    alarm = Alarm()
    if threading.current_thread() is not threading.main_thread():
        yield alarm  # Python lets only the main thread listen
        return

    def heed(number: int, frame: Any) -> None:
        alarm.ring()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, heed)
    try:
        yield alarm
    finally:
        signal.signal(signal.SIGTERM, before)


class Keep(keras.callbacks.Callback):
    """Saves snapshots inside the epoch and takes one up again; last of all callbacks.

    Several workers must read their variables at the same step (sums over replicas are added up),
    so one who wants a snapshot announces it for the next step: none can finish that step
    before the announcement is on the shared disk.

    Args:
        run: where snapshots go.
        cluster: who else trains.
        alarm: tells of SIGTERM.
        often: how often to save.
        batches: how many batches an epoch has.
        start: the snapshot to begin with, or None.

    Raises:
        Terminated: at the end of the batch (or of the validation) in which SIGTERM came.
    """

    def __init__(
        self,
        run: Run,
        cluster: Cluster,
        alarm: Alarm,
        often: Checkpoint,
        batches: int,
        start: Snapshot | None,
    ) -> None:
        super().__init__()
        self.run, self.cluster, self.alarm = run, cluster, alarm
        self.often, self.batches, self.start = often, batches, start
        self._epoch = self._offset = 0
        self._saved_at = time.monotonic()
        self._asked = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Takes up the snapshot, the sums of the epoch's metrics included."""
        self._epoch, self._offset, self._asked = epoch, 0, False
        if self.start is not None:
            self._offset = self.start.batch
            self.start.restore(self.model)
            if self.start.batch == 0:  # what it holds are the sums of the epoch before
                self.model.reset_metrics()
            self.start = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves where that is due, and stops after SIGTERM."""
        done = self._offset + batch + 1
        if done >= self.batches:
            return  # the epoch's own checkpoint follows
        steps = self.often.steps
        stop, save = self._agree(done, self.alarm.rung, self._clock_says())
        save |= steps is not None and done % steps == 0
        if not (stop or save):
            return
        taken = checkpoint.capture(self.model, self._epoch, done)
        if self.cluster.chief:
            taken.save(self.run.snapshot_path)
        self._saved_at = time.monotonic()
        if stop:
            raise Terminated(
                f"SIGTERM: saved after batch {done:,} of epoch {self._epoch + 1}; the same "
                "command goes on from there"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Drops the epoch's snapshots, which its checkpoint replaces; stops after SIGTERM."""
        if self.cluster.chief:
            self.run.snapshot_path.unlink(missing_ok=True)
        # who was signalled may differ, but validation is over on every worker alike
        stop = self.cluster.any(self.alarm.rung)
        if self.cluster.chief:
            for path in self.run.checkpoints.glob("ask-*"):
                path.unlink()
        if stop:
            raise Terminated(
                f"SIGTERM: saved after epoch {epoch + 1}; the same command goes on from there"
            )

    def _clock_says(self) -> bool:
        minutes = self.often.minutes
        if minutes is None or not self.cluster.chief:
            return False
        return time.monotonic() - self._saved_at >= 60 * minutes

    def _agree(self, done: int, stop: bool, save: bool) -> tuple[bool, bool]:
        """Returns whether all stop and whether all save after this batch."""
        if self.cluster.workers == 1:
            return stop, save
        folder = self.run.checkpoints
        if (stop or save) and not self._asked:
            self._asked = True
            word = "stop" if stop else "save"
            (folder / f"ask-{self._epoch}-{done + 1}-{word}-{self.cluster.index}").touch()
        found = [path.name for path in folder.glob(f"ask-{self._epoch}-{done}-*")]
        self._asked &= not found
        return any("-stop-" in name for name in found), bool(found)
