"""Runs signatures for requests, off the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Mapping

import numpy as np

from serving.server.errors import StatusError
from serving.server.metrics import Metrics
from serving.server.servable import Servable
from serving.server.signature import Signature


class Batcher:
    """Runs signatures in threads."""

    def __init__(self, metrics: Metrics, threads: int) -> None:
        self._metrics = metrics
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, "run")

    async def run(
        self,
        servable: Servable,
        signature: Signature,
        arrays: Mapping[str, np.ndarray],
        deadline: float,
    ) -> dict[str, np.ndarray]:
        """Runs a request's arrays; raises DEADLINE_EXCEEDED when its time is over."""
        signature.check_shapes(arrays)
        loop = asyncio.get_running_loop()

        def call() -> dict[str, np.ndarray]:
            started = time.perf_counter()
            outputs = signature.run(arrays)
            self._metrics.runtime(servable.name, "Predict", time.perf_counter() - started)
            return outputs

        try:
            async with asyncio.timeout_at(loop.time() + deadline - time.monotonic()):
                return await loop.run_in_executor(self._pool, call)
        except TimeoutError:
            raise StatusError("DEADLINE_EXCEEDED", "Timed out waiting for notification") from None
