"""Micro-batching: requests that wait while a signature runs are run together next.

A request that finds a free thread runs at once; none waits for company unless
`batch_timeout_micros` says so. What has gathered meanwhile becomes one batch, as far as the inner
shapes agree and `max_batch_size` allows. Requests to a signature whose rows depend on each other
are never mixed. If a batch fails, each of its requests is run alone, so that only the guilty one
fails.

Small batches of a signature that has proved quick run in the event loop's own thread, as all the
requests that arrived together: handing a batch to a thread and its outputs back costs more than
such a run. Where requests come in company, a batch is run once some turns of the loop have brought
no further one, for a run costs about the same whatever its rows. Where they come one by one, a
request is run as soon as it is read.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import threading
from collections.abc import Callable

import numpy as np

from serving.common.config import BatchingConfig
from serving.server.errors import StatusError, invalid_argument
from serving.server.metrics import Metrics
from serving.server.runtime.batch_execution import BatchExecution
from serving.server.runtime.job_queue import SMALL, Job, Lane, Outcome, resolve
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import Arrays, Signature
from serving.server.runtime.stacked_arrays import StackedArrays

_FULL = "The batch scheduling queue to which this task was submitted is full"


class Batcher:
    """Runs signatures in threads of its own, for one event loop.

    Args:
        metrics: Gets the time of every run.
        config: Limits of batches; None for the defaults without the limits that refuse requests.
        max_pending: Most requests waiting for a signature; beyond it UNAVAILABLE.
        mixing: "independent" to mix requests where loading has shown the rows to be independent,
            "always" wherever the signature's shapes allow it, "never".
    """

    def __init__(
        self,
        metrics: Metrics,
        config: BatchingConfig | None = None,
        max_pending: int = 1000,
        mixing: str = "independent",
    ) -> None:
        self._strict = config is not None
        self._config = config or BatchingConfig()
        self._execution = BatchExecution(metrics, self._config)
        self._max_pending = max_pending
        self._mixing = mixing
        self._lanes: dict[Signature, Lane] = {}
        self._work: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, list[Job]] | None] = (
            queue.SimpleQueue()
        )
        self._threads = [
            threading.Thread(target=self._serve, name=f"run-{index}", daemon=True)
            for index in range(2 * self._config.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends the threads once their work is done."""
        for _ in self._threads:
            self._work.put(None)

    async def run(
        self, servable: Servable, signature: Signature, arrays: Arrays, deadline: float, api: str
    ) -> dict[str, np.ndarray]:
        """Runs one request.

        Args:
            servable: The version; the caller holds it until this returns.
            signature: Its signature.
            arrays: The inputs.
            deadline: When to give up, on the event loop's clock.
            api: "Predict", "Classify" or "Regress", for the metrics.

        Returns:
            The outputs of these inputs alone.

        Raises:
            StatusError: The graph refused the values, the queue is full, or the time is over.
        """
        future = asyncio.get_running_loop().create_future()
        reply = functools.partial(_resolve_future, future)
        # what comes by tasks comes one by one, company or not: a turn's arrivals say nothing
        job = self.submit(servable, signature, arrays, deadline, api, reply, at_once=False)
        try:
            outputs: dict[str, np.ndarray] = await future
            return outputs
        finally:
            job.drop()

    def submit(
        self,
        servable: Servable,
        signature: Signature,
        arrays: Arrays,
        deadline: float,
        api: str,
        reply: Callable[[Outcome], None],
        at_once: bool = True,
    ) -> Job:
        """Takes one request; a lone small one of a quick signature is run before this returns.

        Args:
            servable: The version; the caller holds it until `reply` is called.
            signature: Its signature.
            arrays: The inputs.
            deadline: When to give up, on the event loop's clock.
            api: "Predict", "Classify" or "Regress", for the metrics.
            reply: Gets the outputs of these inputs alone, or what was wrong; must not raise.
            at_once: Whether a lone request may be run so, for requests that come as they are read.

        Returns:
            The job; `drop` it if the outcome is not wanted any more.

        Raises:
            StatusError: The shapes are not the signature's, or the queue is full.
        """
        signature.check_shapes(arrays)
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(signature) or self._new_lane(signature)
        if len(lane.waiting) >= self._max_pending:
            raise StatusError("UNAVAILABLE", _FULL)
        fed = arrays.feeds if isinstance(arrays, StackedArrays) else arrays.values()
        numbers = sum([array.size for array in fed])
        here = not self._strict and lane.quick and signature.bounded and numbers <= SMALL
        job = Job(signature, servable.name, api, arrays, numbers, reply, deadline)
        if here and at_once and lane.may_run_at_once(loop):
            resolve([job], lane, self._execution.run([job]))
            return job
        job.rows, job.shapes = self._mixable(signature, arrays)
        if self._strict:
            self._check_limits(lane, job)
        lane.waiting.append(job)
        if here:
            self._start_here(loop, lane)
        else:
            job.watch(loop)
            self._start(loop, lane)
        return job

    def _new_lane(self, signature: Signature) -> Lane:
        """A queue for a signature; those of versions that are gone are forgotten."""
        self._lanes = {
            known: lane for known, lane in self._lanes.items() if known.bound or lane.running
        }
        lane = self._lanes[signature] = Lane()
        return lane

    def _check_limits(self, lane: Lane, job: Job) -> None:
        """Refuses what a batching file does not allow."""
        limit = self._config.max_batch_size
        if job.rows > limit and job.shapes is not None and not self._config.split_large:
            raise invalid_argument(
                f"Task size {job.rows} is larger than maximum input batch size {limit}"
            )
        enqueued = sum(other.rows for other in lane.waiting)
        if enqueued + job.rows > limit * max(1, self._config.max_enqueued_batches):
            raise StatusError("UNAVAILABLE", _FULL)

    def _mixable(
        self, signature: Signature, arrays: Arrays
    ) -> tuple[int, tuple[tuple[int, ...], ...] | None]:
        if self._mixing == "never" or not signature.stackable:
            return 1, None
        if isinstance(arrays, StackedArrays):
            rows = arrays.rows
        else:
            counts = {array.shape[0] for array in arrays.values()}
            if len(counts) != 1 or 0 in counts:
                return 1, None
            rows = counts.pop()
        if self._mixing == "independent" and not signature.row_independent:
            return rows, None
        return rows, signature.row_shapes(arrays)

    def _start(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        while lane.waiting and lane.running < self._config.num_batch_threads:
            wait = self._config.batch_timeout_micros / 1e6
            if wait and not self._ripe(lane):
                if lane.timer is None:
                    lane.timer = loop.call_later(wait, self._expire, loop, lane)
                return
            batch = self._take(lane)
            if batch:
                lane.running += 1
                self._work.put((loop, batch))

    def _start_here(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        """Runs what waits once all requests that have arrived by now are read."""
        if not lane.due:
            lane.due = True
            loop.call_soon(self._run_here, loop, lane)

    def _run_here(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        if lane.expects_more():
            loop.call_soon(self._run_here, loop, lane)
            return
        lane.due = False
        batch = self._take(lane)
        if not batch:
            return
        lane.note_company(len(batch))
        if lane.quick and sum([job.numbers for job in batch]) <= SMALL:
            resolve(batch, lane, self._execution.run(batch))
        else:
            for job in batch:
                job.watch(loop)
            lane.running += 1
            self._work.put((loop, batch))
        if lane.waiting:
            self._start_here(loop, lane)

    def _ripe(self, lane: Lane) -> bool:
        first = lane.waiting[0]
        return first.shapes is None or (
            sum(job.rows for job in lane.waiting if job.shapes == first.shapes)
            >= self._config.execution_rows
        )

    def _expire(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        lane.timer = None
        batch = self._take(lane)
        if batch:
            lane.running += 1
            self._work.put((loop, batch))
        self._start(loop, lane)

    def _take(self, lane: Lane) -> list[Job]:
        """The next batch: the oldest job and what may join it; the others keep their order."""
        batch: list[Job] = []
        rows, left = 0, []
        while lane.waiting:
            job = lane.waiting.popleft()
            if job.over:
                continue
            if not batch:
                batch.append(job)
                rows = job.rows
                if job.shapes is None:
                    break
            elif job.shapes == batch[0].shapes and rows + job.rows <= self._config.execution_rows:
                batch.append(job)
                rows += job.rows
            else:
                left.append(job)
        lane.waiting.extendleft(reversed(left))
        return batch

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            loop, batch = work
            seconds = self._execution.run(batch)
            try:
                loop.call_soon_threadsafe(self._finish, loop, batch, seconds)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            work = batch = None  # type: ignore[assignment]  # no arrays kept while idle

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: list[Job], seconds: float) -> None:
        lane = self._lanes[batch[0].signature]
        lane.running -= 1
        resolve(batch, lane, seconds)
        self._start(loop, lane)


def _resolve_future(future: asyncio.Future[dict[str, np.ndarray]], outcome: Outcome) -> None:
    if future.done():  # cancelled a moment ago
        return
    if isinstance(outcome, StatusError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
