"""The command line together with what its files say, checked before TensorFlow is even loaded."""

from __future__ import annotations

import argparse
import dataclasses
import socket
import ssl
from pathlib import Path

from serving.common import config
from serving.common.config import BatchingConfig, ConfigError, ModelConfig
from serving.server.models import folders
from serving.server.rest import tls


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything a server needs to know.

    Attributes:
        flags: The parsed command line.
        models: The models to serve.
        metrics_path: Where the metrics page is; None for nowhere.
        token: The bearer token; None for no check.
        tls: TLS settings; None for plain HTTP.
        batching: Limits of batches; None for the defaults.
        mixing: Whether requests may be mixed: "independent", "always" or "never".
        listener: The bound socket, which does not listen yet.
        address: Its URL.
    """

    flags: argparse.Namespace
    models: list[ModelConfig]
    metrics_path: str | None
    token: str | None
    tls: ssl.SSLContext | None
    batching: BatchingConfig | None
    mixing: str
    listener: socket.socket
    address: str


def read(found: argparse.Namespace) -> Settings:
    """Reads the files of a command line and takes the port.

    Args:
        found: The parsed flags.

    Raises:
        ConfigError: A file cannot be used, a model has no version, or the port is taken.
    """
    listed = models(found)
    for model in listed:
        if not _has_version(model.base_path):
            raise ConfigError(folders.why_none(model.name, model.base_path))
    metrics_path = None
    if found.monitoring_config_file:
        metrics_path = config.read_monitoring_config(found.monitoring_config_file)
    batching, mixing = None, "independent"
    if found.enable_batching is False:
        mixing = "never"
    elif found.enable_batching:
        batching, mixing = BatchingConfig(), "always"
        if found.batching_parameters_file:
            batching = config.read_batching_config(found.batching_parameters_file)
    shown_token = token(found.bearer_token_file)
    secure = tls.context(found)
    listener = _bind(found.rest_api_address, found.rest_api_port)
    host = found.rest_api_address
    shown = f"[{host}]" if ":" in host else host
    address = f"{'https' if secure else 'http'}://{shown}:{listener.getsockname()[1]}"
    return Settings(
        found, listed, metrics_path, shown_token, secure, batching, mixing, listener, address
    )


def models(found: argparse.Namespace) -> list[ModelConfig]:
    """The models that a command line asks for.

    Raises:
        ConfigError: The configuration file cannot be used.
    """
    if found.model_config_file:
        listed = config.read_model_config(found.model_config_file)
    else:
        listed = [ModelConfig(found.model_name, found.model_base_path)]
    for model in listed:
        if "://" in model.base_path:
            raise ConfigError(
                f"{model.name}: base path '{model.base_path}' is remote; copy or mount it, and "
                "give a local folder"
            )
    return listed


def _has_version(base_path: str) -> bool:
    try:
        return bool(folders.find_versions(base_path))
    except OSError:
        return False


def token(path: str) -> str | None:
    """The bearer token in a file; None where no file is given.

    Raises:
        ConfigError: The file cannot be read, or is empty.
    """
    if not path:
        return None
    try:
        found = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--bearer_token_file: {error}") from None
    if not found:
        raise ConfigError(f"--bearer_token_file: '{path}' is empty")
    return found


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{address}:{port}: {reason}") from None
    return listener
