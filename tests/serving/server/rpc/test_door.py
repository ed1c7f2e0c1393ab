"""The gRPC door's orderly end, over real sockets."""

import asyncio
import signal
import socket
import threading
from typing import Any

import grpc
import grpc.aio
import pytest

from idefn_tf.export.serving_protos import message_class
from serving.client import Client
from serving.common.config import ConfigError
from serving.common.connection import ConnectionFailedError, ServingError
from serving.server import flags
from serving.server.rpc import door as door_module
from serving.server.rpc.door import Door


async def the_end_of_a_door() -> dict[str, Any]:
    """Calls under way at the stop, after it, while calls are held, and after the end."""
    began, goes_on = asyncio.Event(), asyncio.Event()

    async def call(body: bytes, seconds: float) -> bytes:
        if body == b"long":
            began.set()
            await goes_on.wait()
        return body.upper()

    door = Door(flags.parser().parse_args([]), {"/test/Call": call}, None)
    await door.start()
    async with grpc.aio.insecure_channel(door.address) as channel:
        ask = channel.unary_unary("/test/Call")
        health = channel.unary_unary("/grpc.health.v1.Health/Check")
        read = message_class("HealthCheckResponse").FromString
        found = {"health before": read(await health(b"")).status}
        long = ask(b"long")
        await began.wait()
        stopping = door.stop(10)
        found["after the stop"] = await ask(b"short")
        found["health after"] = read(await health(b"")).status
        while door._open.is_set() and not stopping.done():
            await asyncio.sleep(0.01)
        held = ask(b"held")
        found["held"] = await held
        found["done while one is under way"] = stopping.done()
        goes_on.set()
        found["under way"] = await long
        await stopping
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(b"late")
        found["after the end"] = refused.value.code()
    return found


def test_what_was_accepted_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_LINGER_SECONDS", 1.0)  # for a machine that is busy
    monkeypatch.setattr(door_module, "_HOLD_SECONDS", 1.0)
    assert asyncio.run(the_end_of_a_door()) == {
        "health before": 1,
        "after the stop": b"SHORT",
        "health after": 2,
        "held": b"HELD",
        "done while one is under way": False,
        "under way": b"LONG",
        "after the end": grpc.StatusCode.UNAVAILABLE,
    }


def test_clients_of_a_server_that_stops_are_answered_or_may_go_elsewhere(
    start_server: Any, tiny: Any, tiny_base: Any, http_tools: Any
) -> None:
    """Eight clients ask without a pause; each ends by an error that says: no server there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = start_server("--model_name=cvr", f"--model_base_path={tiny_base}", f"--port={port}")
    frame = tiny.make_frame().head(2)
    answers, errors = [0] * 8, []

    def ask(number: int) -> None:
        with Client(f"grpc://127.0.0.1:{port}", "cvr", tiny.SCHEMA) as client:
            while True:
                try:
                    assert len(client.predict(frame)["cvr"]) == 2
                except ServingError as error:
                    errors.append(error)
                    return
                answers[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    http_tools.wait_until(lambda: min(answers) > 10)
    assert server.stop(signal.SIGTERM) == 0
    for thread in threads:
        thread.join(60)
    assert [type(error) for error in errors] == [ConnectionFailedError] * 8
    assert "Traceback" not in server.log


def test_channel_arguments_are_names_and_values() -> None:
    read = flags.parser().parse_args
    given = ["--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.name"]
    with pytest.raises(ConfigError, match=r"^--grpc_channel_arguments: 'grpc.name' is no name=val"):
        Door(read(given), {}, None)
