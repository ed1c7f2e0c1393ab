"""The application takes small whole requests by itself, and leaves the others."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.common.config import ModelConfig
from serving.server.flags import Limits
from serving.server.metrics import REQUEST_COUNT, Metrics
from serving.server.models.manager import ModelManager
from serving.server.rest import app as app_module
from serving.server.rest.app import RestApp
from serving.server.runtime import job_queue
from serving.server.runtime.batching import Batcher
from serving.server.runtime.servable import Servable


class Half:
    """The application over a model that halves and adds 3, and what it replies."""

    def __init__(self, base: Path, **options: Any) -> None:
        self.manager = ModelManager(Servable)
        self.manager.configure([ModelConfig("m", str(base))])
        self.metrics = Metrics()
        self.batcher = Batcher(self.metrics, max_pending=options.pop("max_pending", 1000))
        limits = Limits(max_body_bytes=2_000, max_rows=50)
        options = {"metrics_path": "/metrics", "token": "t"} | options
        self.app = RestApp(self.manager, self.batcher, self.metrics, limits, **options)
        self.replies: list[tuple[int, Any, bytes]] = []

    def take(self, body: bytes, path: str = "/v1/models/m:predict", **more: bytes) -> bool:
        headers = [(b"authorization", b"Bearer t"), *more.items()]
        headers = [(name.encode() if isinstance(name, str) else name, v) for name, v in headers]
        scope = {"method": "POST", "raw_path": path.encode(), "headers": headers[::-1]}
        return self.app.take(scope, body, lambda *found: self.replies.append(found))

    async def until(self, count: int) -> None:
        for _ in range(2_000):
            if len(self.replies) == count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{len(self.replies)} replies, not {count}")

    async def prove_quick(self) -> None:
        for number in range(1, 17):
            assert self.take(b'{"instances": [1.0]}')
            await self.until(number)
        self.replies.clear()


@pytest.fixture
def half(model_folder: Path) -> Iterator[Callable[..., Half]]:
    made: list[Half] = []

    def make(**options: Any) -> Half:
        made.append(Half(model_folder / "half_plus_two", **options))
        return made[-1]

    yield make
    for one in made:
        one.batcher.close()
        servable = one.manager.acquire("m", None, None)
        servable.release()
        assert servable._users == 0  # whatever became of a request
        one.manager.close()


def test_a_lone_request_is_answered_at_once(
    half: Callable[..., Half], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queue, "_QUICK_SECONDS", 60.0)  # whatever else this machine does
    one = half()

    async def session() -> None:
        await one.prove_quick()
        await asyncio.sleep(0)  # another turn of the loop
        assert one.take(b'{"instances": [5.0]}')
        assert [(status, json.loads(body)) for status, _, body in one.replies] == [
            (200, {"predictions": [5.5]})
        ]
        assert one.replies[0][1] == [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(one.replies[0][2])),
        ]
        assert one.take(b'{"inputs": [7.0]}')  # the second of a turn waits for the turn's end
        assert len(one.replies) == 1
        await one.until(2)
        assert json.loads(one.replies[1][2]) == {"outputs": [6.5]}

    asyncio.run(session())
    labels = (("model_name", "m"), ("status", "OK"))
    assert one.metrics._counters[REQUEST_COUNT] == {labels: 18}


@pytest.mark.parametrize(
    ("body", "path", "more"),
    [
        (b'{"instances": [1.0]}', "/v1/models/m:predict", {"authorization": b"Bearer x"}),
        (b'{"instances": [1.0]}', "/v1/models/m:predict", {"content-encoding": b"gzip"}),
        (b'{"instances": [1.0]}', "/v1/models/m:classify", {}),
        (b'{"instances": [1.0]}', "/v1/models/other:predict", {}),
        (b'{"instances": [1.0]}', "/metrics", {}),
        (b'{"instances": [1.0]', "/v1/models/m:predict", {}),
        (b'{"instances": [%s1]}' % (b"1," * 50), "/v1/models/m:predict", {}),
        (b'{"instances": [1.0]}' + b" " * 2_000, "/v1/models/m:predict", {}),
        (b'{"signature_name": "x", "instances": [1.0]}', "/v1/models/m:predict", {}),
        (b"{}", "/v1/models/m:predict", {}),
    ],
)
def test_what_is_refused_or_asks_for_more_is_left(
    half: Callable[..., Half], body: bytes, path: str, more: dict[str, bytes]
) -> None:
    one = half()

    async def session() -> None:
        assert not one.take(body, path, **more)
        await asyncio.sleep(0.05)

    asyncio.run(session())
    assert one.replies == []
    assert one.metrics._counters[REQUEST_COUNT] == {}  # counted where it is answered


def test_a_full_queue_is_left_to_say_so(half: Callable[..., Half]) -> None:
    one = half(max_pending=0)

    async def session() -> bool:
        return one.take(b'{"instances": [1.0]}')

    assert not asyncio.run(session())


def test_many_numbers_are_written_aside(
    half: Callable[..., Half], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job_queue, "_QUICK_SECONDS", 60.0)
    monkeypatch.setattr(app_module, "_MANY_NUMBERS", 2)
    one = half(log_requests=True, cors=True)

    async def session() -> None:
        await one.prove_quick()
        await asyncio.sleep(0)
        assert one.take(b'{"instances": [1.0, 3.0, 5.0]}')
        assert one.replies == []
        await one.until(1)

    caplog.set_level("INFO", "serving.server")
    asyncio.run(session())
    status, headers, body = one.replies[0]
    assert (status, json.loads(body)) == (200, {"predictions": [3.5, 4.5, 5.5]})
    assert (b"access-control-allow-origin", b"*") in headers
    assert len([line for line in caplog.messages if line.startswith("POST /v1/models/m:")]) == 17
