"""One batch through its signature: together, in parts, or request by request."""

from __future__ import annotations

import dataclasses
import logging
import time

import numpy as np

from serving.common.config import BatchingConfig
from serving.server.errors import StatusError
from serving.server.metrics import Metrics
from serving.server.runtime.job_queue import Job
from serving.server.runtime.signature import Arrays
from serving.server.runtime.stacked_arrays import StackedArrays

log = logging.getLogger("serving.server")


class BatchExecution:
    """Runs batches, in whatever thread asks.

    Args:
        metrics: Gets the time of every run.
        config: Sizes of batches.
    """

    def __init__(self, metrics: Metrics, config: BatchingConfig) -> None:
        self._metrics, self._config = metrics, config

    def run(self, batch: list[Job]) -> float:
        """Gives every job its outcome; returns the seconds that this thread computed for it."""
        started = time.thread_time()
        try:
            self._run_jobs(batch)
        except BaseException as error:
            log.exception("A batch failed")
            for job in batch:
                job.outcome = StatusError("INTERNAL", type(error).__name__)
        return time.thread_time() - started

    def _run_jobs(self, batch: list[Job]) -> None:
        if len(batch) > 1 or self._config.allowed_batch_sizes or self._is_large(batch[0]):
            outputs = self._run_in_parts(batch[0]) if self._is_large(batch[0]) else None
            outputs = outputs or self._run_together(batch)
            if outputs is not None:
                start = 0
                for job in batch:
                    end = start + job.rows
                    job.outcome = {name: array[start:end] for name, array in outputs.items()}
                    start = end
                return
        for job in batch:
            try:
                job.outcome = self._timed(job, [job.arrays])
            except StatusError as error:
                job.outcome = error

    def _is_large(self, job: Job) -> bool:
        """Whether a request is run in several parts."""
        splits = self._config.split_large and job.shapes is not None
        return splits and job.rows > self._config.execution_rows

    def _run_in_parts(self, job: Job) -> dict[str, np.ndarray] | None:
        """Outputs of a large request's rows, part by part; None if they are not by row."""
        parts = []
        for start in range(0, job.rows, self._config.execution_rows):
            end = min(start + self._config.execution_rows, job.rows)
            arrays = _rows(job.arrays, start, end)
            part = dataclasses.replace(job, arrays=arrays, rows=end - start)
            outputs = self._run_together([part])
            if outputs is None:
                return None
            parts.append({name: array[: part.rows] for name, array in outputs.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_together(self, batch: list[Job]) -> dict[str, np.ndarray] | None:
        """Outputs of all rows; None if the jobs must be run one by one."""
        first = batch[0]
        if first.shapes is None:
            return None
        rows = sum(job.rows for job in batch)
        size = next((size for size in self._config.allowed_batch_sizes if size >= rows), rows)
        sets = [job.arrays for job in batch]
        if size > rows:
            sets += [_rows(first.arrays, 0, 1)] * (size - rows)
        try:
            outputs = self._timed(first, sets)
        except StatusError:
            return None
        if any(array.ndim == 0 or array.shape[0] != size for array in outputs.values()):
            return None
        return outputs

    def _timed(self, job: Job, sets: list[Arrays]) -> dict[str, np.ndarray]:
        signature, started = job.signature, time.perf_counter()
        outputs = signature.run(sets[0]) if len(sets) == 1 else signature.run_together(sets)
        self._metrics.runtime(job.model, job.api, time.perf_counter() - started)
        return outputs


def _rows(arrays: Arrays, start: int, end: int) -> Arrays:
    if isinstance(arrays, StackedArrays):
        return arrays.part(start, end)
    return {name: array[start:end] for name, array in arrays.items()}
