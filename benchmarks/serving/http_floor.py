"""An application that does nothing, on the server's own HTTP connection (benchmarks.serving).

python -m benchmarks.serving.http_floor --rest_api_port PORT
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import uvicorn

from serving.common.command_line import command_parser
from serving.server.rest.protocol import protocol, web_config

_BODY = b'{\n    "outputs": {\n' + b'        "ctr": [0.123456],\n' * 3 + b"    }\n}"
_HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_BODY)).encode()),
    ],
}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads a request and gives one answer (the ASGI entry point)."""
    while (await receive()).get("more_body"):
        pass
    await send(_HEAD)
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    parser = command_parser("benchmarks.serving.http_floor", __doc__)
    parser.add_argument("--rest_api_port", type=int, required=True)
    sys.setswitchinterval(0.0005)  # as the server has it
    gc.collect()
    gc.freeze()
    port = parser.parse_args().rest_api_port
    uvicorn.Server(web_config(app, protocol(10.0), port=port, loop="uvloop")).run()
