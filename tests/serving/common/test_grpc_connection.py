"""The gRPC client against a server whose answers are known, over a real socket."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from idefn_tf.export.serving_protos import message_class
from serving.common.connection import (
    ConnectionFailedError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    ServingError,
    TimeoutExpiredError,
)
from serving.common.grpc_connection import Grpc
from serving.common.tensor_protos import to_proto

Code = grpc.StatusCode


class Scripted(grpc.GenericRpcHandler):
    """Refuses calls with these codes one after the other, then answers y = 1.5."""

    def __init__(self, codes: Sequence[Code]) -> None:
        self.codes, self.calls = list(codes), 0

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, body: bytes, context: Any) -> bytes:
        self.calls += 1
        if self.codes:
            context.abort(self.codes.pop(0), "said")
        answer = message_class("PredictResponse")()
        answer.outputs["y"] = to_proto(np.array([1.5], np.float32))
        return answer.SerializeToString()


@pytest.fixture
def scripted() -> Iterator[Callable[[Sequence[Code]], tuple[Grpc, Scripted]]]:
    """A function of codes that starts a server; returns a client of it, and its count of calls."""
    ends: list[Callable[[], Any]] = []

    def start(codes: Sequence[Code]) -> tuple[Grpc, Scripted]:
        handler = Scripted(codes)
        server = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        client = Grpc(f"127.0.0.1:{port}", timeout=30)
        ends.extend([client.close, lambda: server.stop(None).wait()])
        return client, handler

    yield start
    for end in ends:
        end()


def ask(client: Grpc, rows: int = 1) -> dict[str, list[Any]]:
    return client.predict({"x": ("int64", list(range(rows)))}, "m", "serving_default")


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.CANCELLED])
@pytest.mark.parametrize("rows", [1, 100_000])
def test_a_call_that_no_server_began_is_sent_once_more(
    scripted: Any, code: Code, rows: int
) -> None:
    """A large one too: 800 kB are more than gRPC keeps for a second try by itself."""
    client, server = scripted([code])
    assert ask(client, rows) == {"y": [1.5]}
    assert server.calls == 2


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.CANCELLED])
def test_and_no_more_than_once(scripted: Any, code: Code) -> None:
    client, server = scripted([code] * 3)
    with pytest.raises(ConnectionFailedError, match="said"):
        ask(client)
    assert server.calls == 2


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        (Code.INVALID_ARGUMENT, InvalidRequestError, 400),
        (Code.FAILED_PRECONDITION, InvalidRequestError, 400),
        (Code.UNAUTHENTICATED, DeniedError, 401),
        (Code.PERMISSION_DENIED, DeniedError, 403),
        (Code.NOT_FOUND, NotFoundError, 404),
        (Code.RESOURCE_EXHAUSTED, OverloadedError, 429),
        (Code.DEADLINE_EXCEEDED, TimeoutExpiredError, 504),
        (Code.INTERNAL, ServingError, 500),
    ],
)
def test_a_refusal_is_what_rest_would_raise(
    scripted: Any, code: Code, kind: type[ServingError], status: int
) -> None:
    client, server = scripted([code])
    with pytest.raises(ServingError) as caught:
        ask(client)
    assert (type(caught.value), caught.value.status) == (kind, status)
    assert caught.value.message == "said"
    assert server.calls == 1


def test_where_no_server_is_the_error_says_so() -> None:
    client = Grpc("127.0.0.1:1", timeout=30)
    with pytest.raises(ConnectionFailedError):
        ask(client)
    client.close()
