"""Handlers that do less than the door, on the same gRPC server (benchmarks.serving.grpc_door).

    python -m benchmarks.serving.grpc_floor PORT {empty,read,session} VERSION_FOLDER

empty    gives a fixed answer
read     reads the request's tensors as the door does, and answers zeros
session  reads them, and calls the session for the one request, without a queue
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import uvloop

from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import to_proto

Handler = Callable[[bytes, Any], Awaitable[bytes]]


class OneHandler(grpc.GenericRpcHandler):
    """Gives every call to one handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(handler)

    def service(self, details: Any) -> Any:
        """Finds the handler, the same for every call."""
        return self._handler


def empty() -> Handler:
    """A handler that gives one answer."""
    answer = message_class("PredictResponse")()
    for name in ("ctr", "cvr", "ctcvr"):
        answer.outputs[name] = to_proto(np.zeros(1, np.float32), content=True)
    fixed: bytes = answer.SerializeToString()

    async def handle(body: bytes, context: Any) -> bytes:
        return fixed

    return handle


def reading(version: Path, run: bool) -> Handler:
    """A handler that reads requests; with `run` it calls the session, too."""
    from serving.server.flags import Limits, parser
    from serving.server.lifecycle import session_config
    from serving.server.rpc import predict_call
    from serving.server.rpc.parse import parse
    from serving.server.runtime.servable import Servable

    options = session_config(parser().parse_args([]))
    servable = Servable("cvr", 1, version, session_config=options)
    limits = Limits()
    zeros = dict.fromkeys(("ctr", "cvr", "ctcvr"), np.zeros(1, np.float32))

    async def handle(body: bytes, context: Any) -> bytes:
        request = parse("PredictEntries", body)
        signature = predict_call.signature_of(request, servable)
        arrays = predict_call.inputs_of(request, body, signature, limits)
        outputs = signature.run(arrays) if run else zeros
        answer = predict_call.answer_of(request, servable, outputs, True)
        return bytes(answer.SerializeToString())

    return handle


async def serve(port: int, handler: Handler) -> None:
    """Serves until the process ends."""
    server = grpc.aio.server(handlers=[OneHandler(handler)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    port, kind, version = sys.argv[1:]
    sys.setswitchinterval(0.0005)  # as the server has it
    made = empty() if kind == "empty" else reading(Path(version), kind == "session")
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(port), made))
