"""HandleReloadConfigRequest: another list of models over gRPC, where the command line allows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from idefn_tf.export.serving_protos import message_class
from serving.common.config import ConfigError, ModelConfig, models_of
from serving.server.errors import StatusError, invalid_argument
from serving.server.json_text import echo
from serving.server.models.manager import ModelManager
from serving.server.rpc.calls import Call
from serving.server.rpc.parse import parse

NAME = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"


def reload_call(manager: ModelManager, given: Sequence[ModelConfig], allowed: bool) -> Call:
    """Returns the call.

    Args:
        manager: the models.
        given: those of the start: only their folders, and what lies under them, are taken.
        allowed: whether the command line allows it.
    """
    roots = [Path(model.base_path).resolve() for model in given]

    async def call(body: bytes, seconds: float) -> bytes:
        if not allowed:
            raise StatusError(
                "PERMISSION_DENIED",
                "Reloading by gRPC is off; --allow_grpc_reload with --bearer_token_file allows it",
            )
        request = parse("ReloadConfigRequest", body)
        try:
            listed = models_of(request.config, "config")
        except ConfigError as error:
            raise invalid_argument(str(error)) from None
        for model in listed:
            place = Path(model.base_path).resolve()
            if not any(place == root or root in place.parents for root in roots):
                raise StatusError(
                    "PERMISSION_DENIED",
                    f"base_path '{echo(model.base_path)}' must lie under one that the server was "
                    "started with",
                )
        await asyncio.to_thread(manager.configure, listed)
        answer: bytes = message_class("ReloadConfigResponse")(status={}).SerializeToString()
        return answer

    return call
