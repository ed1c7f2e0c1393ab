"""What to serve: the models of models.config, and the monitoring, batching and TLS files.

The files are those of tensorflow_model_server, in protobuf's text format; an unknown field, a field
given twice or a value of the wrong kind is an error that names the file's field.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from serving.server import text_proto
from serving.server.text_proto import Message, Value, Word


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
        allowed_batch_sizes: Sizes to pad to; the last must be max_batch_size.
        split_large: Whether a request with more rows than max_batch_size is accepted.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    split_large: bool = False


class _Fields:
    """Typed access to a parsed message that knows which fields were asked for."""

    def __init__(self, message: Message, where: str) -> None:
        self.message = message
        self.where = where
        self.known: set[str] = set()

    def all(self, name: str) -> list[Value]:
        self.known.add(name)
        return self.message.get(name, [])

    def one(self, name: str) -> Value | None:
        values = self.all(name)
        if len(values) > 1:
            raise ConfigError(f"{self.where}: field '{name}' is given {len(values)} times")
        return values[0] if values else None

    def text(self, name: str, default: str = "") -> str:
        value = self.one(name)
        if value is None:
            return default
        if not isinstance(value, str) or isinstance(value, Word):
            raise ConfigError(f"{self.where}: field '{name}' must be a quoted string")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.one(name)
        if value is None:
            return default
        if isinstance(value, Word) and value in ("true", "True", "t", "1"):
            return True
        if isinstance(value, Word) and value in ("false", "False", "f", "0"):
            return False
        raise ConfigError(f"{self.where}: field '{name}' must be true or false, got {value!r}")

    def number(self, value: Value, name: str) -> int:
        try:
            if not isinstance(value, Word):
                raise ValueError
            return int(value, 0)
        except ValueError:
            raise ConfigError(
                f"{self.where}: field '{name}' must be a whole number, got {value!r}"
            ) from None

    def sub(self, name: str) -> _Fields | None:
        value = self.one(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ConfigError(f"{self.where}: field '{name}' must be a message in braces")
        return _Fields(value, f"{self.where}.{name}")

    def subs(self, name: str) -> list[_Fields]:
        found = []
        for index, value in enumerate(self.all(name)):
            if not isinstance(value, dict):
                raise ConfigError(f"{self.where}: field '{name}' must be a message in braces")
            found.append(_Fields(value, f"{self.where}.{name}[{index}]"))
        return found

    def done(self) -> None:
        unknown = sorted(set(self.message) - self.known)
        if unknown:
            known = ", ".join(sorted(self.known))
            raise ConfigError(f"{self.where}: unknown field '{unknown[0]}'; known: {known}")


def _read(path: str, flag: str) -> _Fields:
    try:
        return _Fields(text_proto.parse(Path(path).read_text(encoding="utf-8")), flag)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{flag}: cannot read '{path}': {error}") from None
    except text_proto.TextProtoError as error:
        raise ConfigError(f"{flag}: '{path}': {error}") from None


def _policy(fields: _Fields | None) -> VersionPolicy:
    if fields is None:
        return VersionPolicy()
    latest, every, specific = fields.sub("latest"), fields.sub("all"), fields.sub("specific")
    fields.done()
    if sum(choice is not None for choice in (latest, every, specific)) > 1:
        raise ConfigError(f"{fields.where}: only one of latest, all and specific may be set")
    if every is not None:
        every.done()
        return VersionPolicy("all")
    if specific is not None:
        versions = tuple(specific.number(v, "versions") for v in specific.all("versions"))
        specific.done()
        if not versions:
            raise ConfigError(f"{specific.where}: field 'versions' is empty")
        return VersionPolicy("specific", versions=versions)
    count = 1
    if latest is not None:
        given = latest.one("num_versions")
        count = 1 if given is None else latest.number(given, "num_versions")
        latest.done()
        if count < 1:
            raise ConfigError(f"{latest.where}: field 'num_versions' must be 1 or more")
    return VersionPolicy("latest", count)


def _model(fields: _Fields) -> ModelConfig:
    name, base_path = fields.text("name"), fields.text("base_path")
    platform, kind = fields.text("model_platform"), fields.one("model_type")
    fields.all("logging_config")  # request logging is TensorFlow Serving's own
    labels = []
    for entry in fields.subs("version_labels"):
        value = entry.one("value")
        labels.append((entry.text("key"), entry.number(value or Word("0"), "value")))
        entry.done()
    policy = _policy(fields.sub("model_version_policy"))
    fields.done()
    if not name:
        raise ConfigError(f"{fields.where}: field 'name' is missing")
    if not os.path.isabs(base_path) and "://" not in base_path:
        raise ConfigError(f"{fields.where}: field 'base_path' must be absolute, got '{base_path}'")
    if platform != "tensorflow" and not (not platform and kind in ("TENSORFLOW", "1")):
        raise ConfigError(
            f"{fields.where}: field 'model_platform' must be \"tensorflow\", got '{platform}'"
        )
    return ModelConfig(name, base_path, policy, tuple(labels))


def read_model_config(path: str) -> list[ModelConfig]:
    """Reads --model_config_file.

    Args:
        path: A ModelServerConfig in text format.

    Returns:
        The models in the file's order.

    Raises:
        ConfigError: The file or a field of it is wrong, or a name is listed twice.
    """
    fields = _read(path, "model_config_file")
    listed = fields.sub("model_config_list")
    fields.done()
    if listed is None:
        raise ConfigError("model_config_file: field 'model_config_list' is missing")
    models = [_model(entry) for entry in listed.subs("config")]
    listed.done()
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Illegal to list model {name} multiple times in config list")
    return models


def read_monitoring_config(path: str) -> str | None:
    """Reads --monitoring_config_file; returns the path of the metrics page, None if it is off."""
    fields = _read(path, "monitoring_config_file")
    prometheus = fields.sub("prometheus_config")
    fields.done()
    if prometheus is None:
        return None
    enabled = prometheus.flag("enable")
    page = prometheus.text("path") or "/monitoring/prometheus/metrics"
    prometheus.done()
    return page if enabled else None


def read_batching_config(path: str) -> BatchingConfig:
    """Reads --batching_parameters_file (BatchingParameters, wrapped values as {value: N}).

    Raises:
        ConfigError: A field is wrong, or allowed_batch_sizes does not end in max_batch_size.
    """
    fields = _read(path, "batching_parameters_file")
    given: dict[str, int] = {}
    for name in (
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "max_execution_batch_size",
    ):
        wrapped = fields.sub(name)
        if wrapped is not None:
            given[name] = wrapped.number(wrapped.one("value") or Word("0"), f"{name}.value")
            wrapped.done()
    sizes = tuple(
        fields.number(v, "allowed_batch_sizes") for v in fields.all("allowed_batch_sizes")
    )
    for name in (
        "thread_pool_name",
        "pad_variable_length_inputs",
        "mixed_priority_batching_policy",
    ):
        fields.all(name)
    wrapped = fields.sub("enable_large_batch_splitting")
    split_large = wrapped is not None and wrapped.flag("value")
    fields.done()
    given.pop("max_execution_batch_size", None)
    config = BatchingConfig(allowed_batch_sizes=sizes, split_large=split_large, **given)
    if config.max_batch_size < 1 or config.num_batch_threads < 1:
        raise ConfigError(
            "batching_parameters_file: max_batch_size and num_batch_threads must be 1 or more"
        )
    if config.batch_timeout_micros < 0 or config.max_enqueued_batches < 0:
        raise ConfigError(
            "batching_parameters_file: batch_timeout_micros and max_enqueued_batches "
            "must be 0 or more"
        )
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != config.max_batch_size):
        raise ConfigError(
            "batching_parameters_file: allowed_batch_sizes must increase and end in max_batch_size"
        )
    return config


def read_ssl_config(path: str) -> dict[str, str | bool]:
    """Reads --ssl_config_file (SSLConfig): server_key, server_cert, custom_ca, client_verify."""
    fields = _read(path, "ssl_config_file")
    found: dict[str, str | bool] = {
        name: fields.text(name) for name in ("server_key", "server_cert", "custom_ca")
    }
    found["client_verify"] = fields.flag("client_verify")
    fields.done()
    return found
