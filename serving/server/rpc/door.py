"""The gRPC door: a port, TLS, the token, limits, health, and an orderly end."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from idefn_tf.export.serving_protos import message_class
from serving.common import config
from serving.common.config import ConfigError
from serving.server.errors import StatusError
from serving.server.rpc.calls import Call
from serving.server.rpc.parse import parse

log = logging.getLogger("serving.server")

_HEALTH = "/grpc.health.v1.Health/Check"
_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_SERVING, _NOT_SERVING = 1, 2
_LINGER_SECONDS = 0.25


class Door(grpc.GenericRpcHandler):
    """Serves calls over gRPC, in the running event loop; gRPC's own threads read and write.

    Args:
        found: the parsed flags.
        calls: by full name; each takes a request's bytes and the seconds that are left.
        token: the bearer token that every call but health must show; None for no check.

    Raises:
        ConfigError: the port is taken, or a certificate cannot be used.
    """

    def __init__(
        self,
        found: argparse.Namespace,
        calls: Mapping[str, Call],
        token: str | None,
    ) -> None:
        self._token = token
        self._seconds = found.rest_api_timeout_in_ms / 1000
        self._stopped: asyncio.Task[None] | None = None
        self._handlers = {name: self._handler(name, call) for name, call in calls.items()}
        self._handlers[_HEALTH] = grpc.unary_unary_rpc_method_handler(self._health)
        options = [
            ("grpc.max_receive_message_length", found.rest_api_max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            *_arguments(found.grpc_channel_arguments),
        ]
        most = found.grpc_max_threads + found.rest_api_max_pending
        self._server = grpc.aio.server(
            handlers=[self], options=options, maximum_concurrent_rpcs=most
        )
        self.address = self._listen(found)

    def _listen(self, found: argparse.Namespace) -> str:
        host = found.rest_api_address
        place = f"[{host}]:{found.port}" if ":" in host else f"{host}:{found.port}"
        secure = _credentials(found)
        try:
            if secure is None:
                port = self._server.add_insecure_port(place)
            else:
                port = self._server.add_secure_port(place, secure)
            if found.grpc_socket_path:
                self._server.add_insecure_port(f"unix:{found.grpc_socket_path}")
        except RuntimeError as error:
            raise ConfigError(f"--port {found.port}: {error}") from None
        return f"{place.rpartition(':')[0]}:{port}"

    async def start(self) -> None:
        """Starts to answer."""
        await self._server.start()

    def use_token(self, token: str) -> None:
        """Asks for another bearer token from now on."""
        self._token = token

    def stop(self, seconds: float) -> asyncio.Task[None]:
        """Accepts no further call; the task ends once those under way have been answered."""
        if self._stopped is None:
            self._stopped = asyncio.ensure_future(self._drain(seconds))
        return self._stopped

    async def _drain(self, seconds: float) -> None:
        await asyncio.sleep(_LINGER_SECONDS)  # calls already on their way are answered, as in REST
        await self._server.stop(seconds)

    # -- gRPC ----------------------------------------------------------------------------------

    def service(self, details: Any) -> Any:
        """Finds the handler of a call (gRPC's own entry point); UNIMPLEMENTED if there is none."""
        return self._handlers.get(details.method)

    def _handler(self, name: str, call: Call) -> Any:
        async def answer(body: bytes, context: Any) -> bytes:
            if self._token is not None and not self._is_authorized(context, self._token):
                await context.abort(
                    grpc.StatusCode.UNAUTHENTICATED, "A valid bearer token is required"
                )
            left = context.time_remaining()
            try:
                return await call(body, self._seconds if left is None else left)
            except StatusError as error:
                code, said = getattr(grpc.StatusCode, error.code), error.message
            except Exception:
                log.exception("%s failed", name)
                code, said = grpc.StatusCode.INTERNAL, "Internal error"
            await context.abort(code, said)
            raise AssertionError("abort raises")

        return grpc.unary_unary_rpc_method_handler(answer)

    def _is_authorized(self, context: Any, token: str) -> bool:
        shown = dict(context.invocation_metadata()).get("authorization", "")
        scheme, _, given = str(shown).partition(" ")
        right = hmac.compare_digest(given.strip().encode(), token.encode())
        return scheme.lower() == "bearer" and right

    async def _health(self, body: bytes, context: Any) -> bytes:
        try:
            service = parse("HealthCheckRequest", body).service
        except StatusError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        if service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        status = _SERVING if self._stopped is None else _NOT_SERVING
        written: bytes = message_class("HealthCheckResponse")(status=status).SerializeToString()
        return written


def _arguments(text: str) -> Sequence[tuple[str, Any]]:
    """Reads --grpc_channel_arguments: name=value, separated by commas."""
    found = []
    for pair in filter(None, (text or "").split(",")):
        name, mark, value = pair.partition("=")
        if not mark:
            raise ConfigError(f"--grpc_channel_arguments: '{pair}' is no name=value")
        found.append((name, int(value) if value.lstrip("-").isdigit() else value))
    return found


def _credentials(found: argparse.Namespace) -> Any:
    """The door's TLS settings; None to serve without."""
    if found.ssl_config_file:
        given = config.read_ssl_config(found.ssl_config_file)
        key, cert = str(given["server_key"]).encode(), str(given["server_cert"]).encode()
        authorities = str(given["custom_ca"]).encode() if given["custom_ca"] else None
        verify = bool(given["client_verify"])
    elif found.ssl_certfile:
        key, cert = Path(found.ssl_keyfile).read_bytes(), Path(found.ssl_certfile).read_bytes()
        authorities = Path(found.ssl_ca_certs).read_bytes() if found.ssl_ca_certs else None
        verify = authorities is not None
    else:
        return None
    return grpc.ssl_server_credentials([(key, cert)], authorities, verify)
