"""What to serve: the models of models.config, and the monitoring, batching and TLS files.

The files are those of tensorflow_model_server, in protobuf's text format; an unknown field, a field
given twice or a value of the wrong kind is an error that names field, line and column.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from serving.common import proto_text


class ConfigError(ValueError):
    """A configuration file cannot be used."""


@dataclasses.dataclass(frozen=True)
class VersionPolicy:
    """Which versions of a model to serve.

    Attributes:
        kind: "latest", "all" or "specific".
        count: How many of the newest (latest).
        versions: The versions (specific).
    """

    kind: str = "latest"
    count: int = 1
    versions: tuple[int, ...] = ()

    def choose(self, present: list[int]) -> list[int]:
        """The versions wanted out of those present, newest first."""
        newest = sorted(present, reverse=True)
        if self.kind == "all":
            return newest
        if self.kind == "specific":
            return [version for version in newest if version in self.versions]
        return newest[: self.count]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One model: its name, where its versions lie, which to serve, and its labels."""

    name: str
    base_path: str
    policy: VersionPolicy = VersionPolicy()
    labels: tuple[tuple[str, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class BatchingConfig:
    """The scheduler's limits, as in TensorFlow Serving's BatchingParameters.

    Attributes:
        max_batch_size: Rows run together at most.
        batch_timeout_micros: How long a batch that is not full waits for more rows.
        max_enqueued_batches: Batches that may wait; beyond it the answer is 503.
        num_batch_threads: Batches run at the same time.
        allowed_batch_sizes: Sizes to pad to; the last must be `execution_rows`.
        split_large: Whether a request with more rows than max_batch_size is accepted, and one with
            more than `execution_rows` is run in several parts.
        max_execution_batch_size: Rows run together at most where large requests are split; None
            for max_batch_size.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    split_large: bool = False
    max_execution_batch_size: int | None = None

    @property
    def execution_rows(self) -> int:
        """Rows that one run of the graph gets at most."""
        limit = self.max_execution_batch_size if self.split_large else None
        return limit or self.max_batch_size


def _read(path: str, flag: str, message: str) -> Any:
    try:
        return proto_text.parse(Path(path).read_text(encoding="utf-8"), message, path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{flag}: cannot read '{path}': {error}") from None
    except proto_text.ProtoTextError as error:
        raise ConfigError(f"{flag}: '{path}': {error}") from None


def _policy(given: Any, where: str) -> VersionPolicy:
    kind = given.WhichOneof("policy_choice")
    if kind == "all":
        return VersionPolicy("all")
    if kind == "specific":
        versions = tuple(given.specific.versions)
        if not versions:
            raise ConfigError(f"{where}.model_version_policy.specific: field 'versions' is empty")
        return VersionPolicy("specific", versions=versions)
    return VersionPolicy("latest", max(given.latest.num_versions, 1))


def _model(given: Any, where: str) -> ModelConfig:
    """Returns one model; logging_config is TensorFlow Serving's own affair."""
    if not given.name:
        raise ConfigError(f"{where}: field 'name' is missing")
    if not os.path.isabs(given.base_path) and "://" not in given.base_path:
        raise ConfigError(f"{where}: field 'base_path' must be absolute, got '{given.base_path}'")
    platform = given.model_platform or ("tensorflow" if given.model_type == 1 else "")
    if platform != "tensorflow":
        raise ConfigError(
            f"{where}: field 'model_platform' must be \"tensorflow\", got '{platform}'"
        )
    labels = tuple(sorted(given.version_labels.items()))
    return ModelConfig(
        given.name, given.base_path, _policy(given.model_version_policy, where), labels
    )


def read_model_config(path: str) -> list[ModelConfig]:
    """Reads --model_config_file.

    Args:
        path: A ModelServerConfig in text format.

    Returns:
        The models in the file's order.

    Raises:
        ConfigError: The file or a field of it is wrong, or a name is listed twice.
    """
    flag = "model_config_file"
    return models_of(_read(path, flag, "ModelServerConfig"), flag)


def models_of(found: Any, flag: str) -> list[ModelConfig]:
    """Returns the models of a ModelServerConfig.

    Args:
        found: The message.
        flag: Where it comes from, for errors.

    Raises:
        ConfigError: A field is wrong, or a name is listed twice.
    """
    if not found.HasField("model_config_list"):
        raise ConfigError(f"{flag}: field 'model_config_list' is missing")
    models = [
        _model(entry, f"{flag}.model_config_list.config[{index}]")
        for index, entry in enumerate(found.model_config_list.config)
    ]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Illegal to list model {name} multiple times in config list")
    return models


def read_monitoring_config(path: str) -> str | None:
    """Reads --monitoring_config_file; returns the path of the metrics page, None if it is off."""
    found = _read(path, "monitoring_config_file", "MonitoringConfig").prometheus_config
    page: str = found.path or "/monitoring/prometheus/metrics"
    return page if found.enable else None


def read_batching_config(path: str) -> BatchingConfig:
    """Reads --batching_parameters_file (BatchingParameters, wrapped values as {value: N}).

    Raises:
        ConfigError: A field is wrong, or allowed_batch_sizes does not end in max_batch_size (in
            max_execution_batch_size where large requests are split).
    """
    found = _read(path, "batching_parameters_file", "BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    given = {name: getattr(found, name).value for name in names if found.HasField(name)}
    sizes = tuple(found.allowed_batch_sizes)
    split_large = found.enable_large_batch_splitting.value
    execution = None
    if found.HasField("max_execution_batch_size"):
        execution = found.max_execution_batch_size.value
    config = BatchingConfig(
        allowed_batch_sizes=sizes,
        split_large=split_large,
        max_execution_batch_size=execution,
        **given,
    )
    if execution is not None and not 1 <= execution <= config.max_batch_size:
        raise ConfigError(
            "batching_parameters_file: max_execution_batch_size must lie between 1 and "
            f"max_batch_size, {config.max_batch_size}; received {execution}"
        )
    if execution is not None and not split_large and execution != config.max_batch_size:
        raise ConfigError(
            "batching_parameters_file: max_execution_batch_size needs "
            "enable_large_batch_splitting { value: true }"
        )
    if config.max_batch_size < 1 or config.num_batch_threads < 1:
        raise ConfigError(
            "batching_parameters_file: max_batch_size and num_batch_threads must be 1 or more"
        )
    if config.batch_timeout_micros < 0 or config.max_enqueued_batches < 0:
        raise ConfigError(
            "batching_parameters_file: batch_timeout_micros and max_enqueued_batches "
            "must be 0 or more"
        )
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != config.execution_rows):
        last = "max_execution_batch_size" if split_large and execution else "max_batch_size"
        raise ConfigError(
            f"batching_parameters_file: allowed_batch_sizes must increase and end in {last}, "
            f"{config.execution_rows}; received {list(sizes)}"
        )
    return config


def read_ssl_config(path: str) -> dict[str, str | bool]:
    """Reads --ssl_config_file (SSLConfig): server_key, server_cert, custom_ca, client_verify."""
    found = _read(path, "ssl_config_file", "SSLConfig")
    names = ("server_key", "server_cert", "custom_ca", "client_verify")
    return {name: getattr(found, name) for name in names}
