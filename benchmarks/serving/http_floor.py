"""An application that does nothing, on the server's own HTTP connection (benchmarks.serving).

    python -m benchmarks.serving.http_floor --rest_api_port PORT [--version FOLDER]

With a version's folder, each request makes the quickest call of its session, on arrays that are
there already, and is taken whole as the server takes it: the least that a server here can do.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from serving.common.command_line import command_parser
from serving.server.rest.protocol import protocol, web_config

_BODY = b'{\n    "outputs": {\n' + b'        "ctr": [0.123456],\n' * 3 + b"    }\n}"
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
]
_HEAD = {"type": "http.response.start", "status": 200, "headers": _HEADERS}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads a request and gives one answer (the ASGI entry point)."""
    while (await receive()).get("more_body"):
        pass
    await send(_HEAD)
    await send({"type": "http.response.body", "body": _BODY})


class CallingApp:
    """Gives the same answer, after a call.

    Args:
        call: What each whole request asks for.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answers what is not sent whole, without the call."""
        await app(scope, receive, send)

    def take(self, scope: dict[str, Any], body: bytes, reply: Callable[..., None]) -> bool:
        """Answers a whole request."""
        self._call()
        reply(200, _HEADERS, _BODY)
        return True


def _served(version: Path | None) -> Any:
    if version is None:
        return app
    from benchmarks.serving.rest_door import session_call  # TensorFlow is loaded here
    from serving.load import made_up_body
    from serving.server.runtime.servable import Servable

    metadata = json.loads(Servable("cvr", 1, version).metadata)
    return CallingApp(session_call(version, made_up_body(metadata, 1)))


if __name__ == "__main__":
    parser = command_parser("benchmarks.serving.http_floor", __doc__)
    parser.add_argument("--rest_api_port", type=int, required=True)
    parser.add_argument("--version", type=Path, help="a SavedModel that each request calls")
    given = parser.parse_args()
    served = _served(given.version)
    sys.setswitchinterval(0.0005)  # as the server has it
    gc.collect()
    gc.freeze()
    web = web_config(served, protocol(10.0), port=given.rest_api_port, loop="uvloop")
    uvicorn.Server(web).run()
