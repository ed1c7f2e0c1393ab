"""The command line: tensorflow_model_server's flags by their own names, and a few of our own.

A flag of tensorflow_model_server that has no meaning here (TPUs, TFLite) is accepted, so that
a deployment's command line can be kept, and named once in the log.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence

from serving.common.command_line import command_parser

# Flags of tensorflow_model_server that change nothing here; the value tells why.
IGNORED = {
    "enable_grpc_healthcheck_service": "the health service is always there",
    "use_alts_credentials": "use TLS",
    "rest_api_num_threads": "requests are read by one event loop",
    "num_load_threads": "versions load one after the other",
    "num_unload_threads": "versions unload one after the other",
    "flush_filesystem_caches": "left to the operating system",
    "platform_config_file": "only SavedModels are served",
    "per_process_gpu_memory_fraction": "left to TensorFlow",
    "tensorflow_session_config_file": "use the parallelism flags",
    "remove_unused_fields_from_bundle_metagraph": "nothing is kept to remove",
    "prefer_tflite_model": "only SavedModels are served",
    "num_tflite_pools": "only SavedModels are served",
    "num_tflite_interpreters_per_pool": "only SavedModels are served",
    "enable_per_model_batching_parameters": "one set of batching parameters holds for all models",
    "xla_cpu_compilation_enabled": "left to the graph",
    "enable_profiler": "there is no profiler",
    "thread_pool_factory_config_file": "left to TensorFlow",
    "mixed_precision": "left to the graph",
    "skip_initialize_tpu": "there is no TPU",
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a single request may cost.

    Attributes:
        max_body_bytes: Largest body, decompressed; beyond it 413.
        max_rows: Most rows in a request; beyond it 400.
        max_depth: Deepest nesting of JSON; beyond it 400.
        timeout_seconds: Time from the whole request read to its answer (504), and for the body to
            arrive (408).
    """

    max_body_bytes: int = 64 * 2**20
    max_rows: int = 100_000
    max_depth: int = 100_000
    timeout_seconds: float = 30.0


def _bool(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("true", "1", "t", "yes"):
        return True
    if lowered in ("false", "0", "f", "no"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, got '{text}'")


def _at_least(low: int) -> object:
    def whole_number(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"must be {low} or more, got {value}")
        return value

    return whole_number


def parser() -> argparse.ArgumentParser:
    """The parser; each flag may be written --flag=value or --flag value, a switch also bare."""
    made = command_parser(
        "serving.server",
        "Serves SavedModels over TensorFlow Serving's REST and gRPC protocols.",
        allow_abbrev=False,
    )

    def switch(name: str, default: bool | None, text: str) -> None:
        group.add_argument(
            f"--{name}", type=_bool, nargs="?", const=True, default=default, help=text
        )

    def number(name: str, default: int, low: int, text: str) -> None:
        group.add_argument(f"--{name}", type=_at_least(low), default=default, help=text)  # type: ignore[arg-type]

    def text_flag(name: str, default: str, text: str) -> None:
        group.add_argument(f"--{name}", default=default, help=text)

    group = made.add_argument_group("models")
    text_flag("model_name", "default", "name of the model")
    text_flag("model_base_path", "", "folder that holds the model's numbered versions")
    text_flag("model_config_file", "", "ModelServerConfig in text format, instead of the two above")
    number("model_config_file_poll_wait_seconds", 0, 0, "re-read that file this often; 0: never")
    number("file_system_poll_wait_seconds", 1, 0, "look for new versions this often; 0: only once")
    number("max_num_load_retries", 5, 0, "tries after a version failed to load")
    number("load_retry_interval_micros", 60_000_000, 0, "wait between such tries")
    switch(
        "allow_version_labels_for_unavailable_models",
        False,
        "a new label may name a version that is not loaded yet",
    )
    text_flag("saved_model_tags", "serve", "tags of the graph to load, separated by commas")
    switch("enable_model_warmup", True, "replay assets.extra/tf_serving_warmup_requests")
    number("num_request_iterations_for_warmup", 1, 1, "how often to replay each record")
    switch("enable_signature_method_name_check", False, "classify and regress check method_name")

    group = made.add_argument_group("REST API")
    number("rest_api_port", 8501, 0, "port to listen on; 0: a free one, named when ready")
    number("rest_api_timeout_in_ms", 30_000, 1, "time for a request")
    switch("rest_api_enable_cors_support", False, "let browsers of other origins read the answers")
    text_flag("monitoring_config_file", "", "MonitoringConfig in text format")
    text_flag("ssl_config_file", "", "SSLConfig in text format (keys and certificates inside)")

    group = made.add_argument_group("gRPC API")
    number("port", 0, 0, "port to listen on with gRPC; 0: no gRPC")
    text_flag("grpc_socket_path", "", "a UNIX socket to listen on, too")
    text_flag("grpc_channel_arguments", "", "name=value of gRPC's channels, separated by commas")
    number("grpc_max_threads", 16, 1, "threads that read and write large messages")
    switch("enable_serialization_as_tensor_content", False, "answers hold raw bytes of numbers")
    switch("allow_grpc_reload", False, "take another list of models by gRPC; needs a token")

    group = made.add_argument_group("running")
    switch(
        "enable_batching",
        None,
        "run requests together; not given: where loading shows that rows are independent",
    )
    text_flag("batching_parameters_file", "", "BatchingParameters in text format")
    number("tensorflow_session_parallelism", 0, 0, "threads within and between operations")
    number("tensorflow_intra_op_parallelism", 0, 0, "threads within an operation")
    number("tensorflow_inter_op_parallelism", 0, 0, "threads between operations")

    group = made.add_argument_group("of this server only")
    text_flag("rest_api_address", "127.0.0.1", "address to listen on")
    text_flag("ssl_certfile", "", "PEM certificate chain: serve HTTPS")
    text_flag("ssl_keyfile", "", "PEM private key of it")
    text_flag("ssl_ca_certs", "", "PEM authorities: clients must show a certificate of theirs")
    text_flag("bearer_token_file", "", "file with the token that every request must show")
    number("rest_api_max_body_bytes", Limits.max_body_bytes, 1, "largest body, decompressed")
    number("rest_api_max_rows", Limits.max_rows, 1, "most rows in a request")
    number("rest_api_max_depth", Limits.max_depth, 8, "deepest nesting of JSON")
    number("rest_api_max_pending", 1000, 1, "requests waiting for the model; beyond it 503")
    number("rest_api_max_connections", 4096, 1, "open connections; beyond it 503")
    number("rest_api_header_timeout_in_ms", 10_000, 1, "time for a request's head to arrive")
    number("rest_api_write_timeout_in_ms", 60_000, 1, "time for a client to read what is written")
    switch("rest_api_log_requests", False, "one line in the log per request")
    number("graceful_stop_in_ms", 30_000, 0, "time for accepted requests after SIGTERM")

    group = made.add_argument_group("accepted without effect")
    for name, why in IGNORED.items():
        group.add_argument(f"--{name}", nargs="?", const="true", default=None, help=why)
    made.add_argument("--version", action="store_true", help="print the version and exit")
    return made


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses and checks the command line; exits with status 2 and a message if it is wrong."""
    made = parser()
    found = made.parse_args(argv)
    if found.version:
        return found
    if not found.model_config_file and not found.model_base_path:
        made.error("give --model_base_path (with --model_name) or --model_config_file")
    if bool(found.ssl_certfile) != bool(found.ssl_keyfile):
        made.error("--ssl_certfile and --ssl_keyfile go together")
    if found.ssl_ca_certs and not found.ssl_certfile:
        made.error("--ssl_ca_certs needs --ssl_certfile and --ssl_keyfile")
    if found.ssl_config_file and found.ssl_certfile:
        made.error("give either --ssl_config_file or --ssl_certfile and --ssl_keyfile")
    if found.allow_grpc_reload and not (found.port and found.bearer_token_file):
        made.error("--allow_grpc_reload needs --port and --bearer_token_file")
    if found.grpc_socket_path and not found.port:
        made.error("--grpc_socket_path needs --port")
    if found.batching_parameters_file and not found.enable_batching:
        made.error("--batching_parameters_file needs --enable_batching")
    if found.model_base_path and "://" not in found.model_base_path:
        found.model_base_path = os.path.abspath(found.model_base_path)
    return found


def limits(found: argparse.Namespace) -> Limits:
    """The request limits of a command line."""
    return Limits(
        max_body_bytes=found.rest_api_max_body_bytes,
        max_rows=found.rest_api_max_rows,
        max_depth=found.rest_api_max_depth,
        timeout_seconds=found.rest_api_timeout_in_ms / 1000,
    )
