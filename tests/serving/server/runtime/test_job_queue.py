"""Lanes: small batches of a quick signature run without a thread, once it has earned trust."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.server.errors import StatusError
from serving.server.metrics import Metrics
from serving.server.runtime import job_queue
from serving.server.runtime.batching import Batcher
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import Signature


@pytest.fixture
def opened(saved_models: ModuleType, tmp_path: Path) -> Iterator[Callable[..., Servable]]:
    """Exports a model of one input x and opens it."""
    found: list[Servable] = []

    def export(**functions: Callable[[tf.Tensor], dict[str, tf.Tensor]]) -> Servable:
        inputs = [saved_models.vector("x", tf.float32)]
        saved_models.export(
            tmp_path / "1", **{name: (function, inputs) for name, function in functions.items()}
        )
        found.append(Servable("quick", 1, tmp_path / "1"))
        return found[0]

    yield export
    for servable in found:
        servable.retire()
        assert servable.close_if_idle()


def doubled(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """Twice x; fails from 1000 up."""
    with tf.control_dependencies([tf.debugging.assert_less(x, 1000.0)]):
        return {"y": 2.0 * x}


def looped(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """x, after as many turns as x says."""
    count = tf.reduce_max(x)
    return {"y": x + 0.0 * tf.while_loop(lambda i: i < count, lambda i: (i + 1.0,), (0.0,))[0]}


class Calls:
    """Notes the thread and the rows of every call into a session."""

    def __init__(self, signature: Signature, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[str] = []
        self.rows: list[int] = []
        fetch = signature._fetch

        def noted(call: Callable[..., Any], feeds: Any) -> Any:
            self.threads.append(threading.current_thread().name)
            self.rows.append(feeds[0].shape[-1])
            return fetch(call, feeds)

        monkeypatch.setattr(signature, "_fetch", noted)


async def ask(batcher: Batcher, servable: Servable, requests: list[Any]) -> list[Any]:
    """Sends requests at once; results or refusals in order."""
    signature = servable.signatures["serving_default"]
    deadline = asyncio.get_running_loop().time() + 20
    return await asyncio.gather(
        *[batcher.run(servable, signature, arrays, deadline, "Predict") for arrays in requests],
        return_exceptions=True,
    )


def test_quick_requests_run_without_a_thread(
    opened: Callable[..., Servable], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow to trust: sixteen runs in threads; then those that arrive together run together."""
    servable = opened(serving_default=doubled)
    calls = Calls(servable.signatures["serving_default"], monkeypatch)
    monkeypatch.setattr(job_queue, "_QUICK_SECONDS", 60.0)  # whatever else this machine does
    batcher = Batcher(Metrics(), mixing="always")

    async def session() -> tuple[list[Any], list[Any]]:
        for _ in range(16):
            await ask(batcher, servable, [{"x": np.float32([1])}])
        values = [1.0, 2.0, 5000.0, 3.0]
        small = [{"x": np.float32([value] * 2)} for value in values]
        large = {"x": np.arange(job_queue.SMALL + 1, dtype=np.float32) / 10}
        found = await ask(batcher, servable, small)
        return found, await ask(batcher, servable, [large])

    try:
        found, (many,) = asyncio.run(session())
    finally:
        batcher.close()
    here = threading.current_thread().name
    assert all(name.startswith("run-") for name in calls.threads[:16])
    assert calls.threads[16:-1] == [here] * 5  # once together, which fails, then each alone
    assert calls.rows[16:-1] == [8, 2, 2, 2, 2]
    assert calls.threads[-1].startswith("run-")  # a large one never holds up the others
    assert [outcome["y"].tolist() for outcome in (found[0], found[1], found[3])] == [
        [2.0, 2.0],
        [4.0, 4.0],
        [6.0, 6.0],
    ]
    assert isinstance(found[2], StatusError)
    np.testing.assert_allclose(many["y"], np.arange(job_queue.SMALL + 1) / 5, rtol=1e-6)


def test_a_graph_with_loops_always_runs_in_threads(
    opened: Callable[..., Servable], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time depends on the values: one request could hold up the whole server."""
    servable = opened(serving_default=doubled, slow=looped)
    assert not servable.signatures["serving_default"].bounded
    calls = Calls(servable.signatures["serving_default"], monkeypatch)
    monkeypatch.setattr(job_queue, "_QUICK_SECONDS", 60.0)
    batcher = Batcher(Metrics(), mixing="never")
    requests = [{"x": np.float32([1])}] * 40
    try:
        asyncio.run(ask(batcher, servable, requests))
    finally:
        batcher.close()
    assert len(calls.threads) == 40
    assert all(name.startswith("run-") for name in calls.threads)


def test_trust_is_lost_at_once_and_comes_back_slowly() -> None:
    lane = job_queue.Lane()
    for _ in range(16):
        assert not lane.quick
        lane.note(10, 0.001)
    assert lane.quick
    lane.note(job_queue.SMALL + 1, 5.0)  # a large batch says nothing of small ones
    assert lane.quick
    lane.note(10, 0.004)
    turns = 0
    while not lane.quick:
        lane.note(10, 0.001)
        turns += 1
    assert turns == 35  # 0.004 * 0.98 ** 35 is the first below 0.002


def test_a_lone_job_waits_for_none_and_company_ends_after_quiet_turns() -> None:
    lane = job_queue.Lane()
    assert not lane.expects_more()  # nothing waits: what waited has gone to a thread
    job = job_queue.Job(None, "m", "Predict", {}, 10, None)  # type: ignore[arg-type]
    lane.waiting.append(job)
    assert not lane.expects_more()
    lane.waiting.append(job)
    assert [lane.expects_more() for _ in range(17)] == [True] * 16 + [False]
    lane.waiting.append(job)  # a newcomer: the turns are counted anew
    assert [lane.expects_more() for _ in range(17)] == [True] * 16 + [False]
    lane.waiting.extend([job] * (job_queue.SMALL // 10))  # no longer a small batch
    assert not lane.expects_more()
    lane.waiting.clear()
    for _ in range(20):
        lane.note_company(4)
    lane.waiting.append(job)
    assert lane.expects_more()  # batches of late had four jobs
    for _ in range(40):
        lane.note_company(1)
    assert not lane.expects_more()


def test_a_lone_job_runs_at_once_and_the_second_of_a_turn_does_not() -> None:
    lane = job_queue.Lane()

    async def turns() -> list[bool]:
        loop = asyncio.get_running_loop()
        found = []
        for jobs in (1, 1, 2, 1):
            found += [lane.may_run_at_once(loop) for _ in range(jobs)]
            await asyncio.sleep(0)
        return found

    assert asyncio.run(turns()) == [True, True, True, False, True]
    assert lane.company == pytest.approx(1.09)  # 1 + .1 of the one turn of two, less .1 of that

    async def crowd() -> None:
        for _ in range(7):
            for _ in range(2):
                lane.may_run_at_once(asyncio.get_running_loop())
            await asyncio.sleep(0)

    asyncio.run(crowd())
    assert 1.5 < lane.company < 1.6  # 2 - .91 * .9 ** 7 = 1.56
    assert not asyncio.run(_ask(lane))  # jobs come in company now
    lane.company = 1.0
    lane.waiting.append(job_queue.Job(None, "m", "Predict", {}, 10, print))  # type: ignore[arg-type]
    assert not asyncio.run(_ask(lane))  # one waits already


async def _ask(lane: job_queue.Lane) -> bool:
    return lane.may_run_at_once(asyncio.get_running_loop())


def test_a_job_ends_once_and_not_when_it_is_dropped() -> None:
    given: list[Any] = []

    async def session() -> None:
        loop = asyncio.get_running_loop()
        jobs = [
            job_queue.Job(None, "m", "Predict", {}, 1, given.append, loop.time() + 0.01)  # type: ignore[arg-type]
            for _ in range(3)
        ]
        for job in jobs:
            job.watch(loop)
        jobs[0].end({"y": np.float32([1])})
        jobs[1].drop()
        await asyncio.sleep(0.1)
        for job in jobs:
            job.end({"y": np.float32([2])})

    asyncio.run(session())
    assert given[0]["y"].tolist() == [1.0]
    assert [type(outcome) for outcome in given] == [dict, StatusError]
    assert given[1].code == "DEADLINE_EXCEEDED"
