"""Start, watch and stop: wires the parts together and keeps the process's promises.

The port opens only after every configured model has an available version; if one has none the
process says why and ends with status 1. SIGTERM and SIGINT stop accepting, answer what has been
accepted, and end with status 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import uvicorn

from serving.server import config, flags, independence, protocol, tls, warmup
from serving.server.app import RestApp
from serving.server.batching import Batcher
from serving.server.errors import StatusError
from serving.server.metrics import Metrics
from serving.server.models import ModelManager
from serving.server.servable import Servable

log = logging.getLogger("serving.server")


class Server(uvicorn.Server):
    """uvicorn that ends with status 0 on the first signal and at once on the second."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Asks for a graceful stop instead of letting the signal end the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def model_configs(found: argparse.Namespace) -> list[config.ModelConfig]:
    """The models that the command line asks for."""
    if found.model_config_file:
        return config.read_model_config(found.model_config_file)
    return [config.ModelConfig(found.model_name, found.model_base_path)]


def session_config(found: argparse.Namespace) -> tf.compat.v1.ConfigProto:
    """Threads of each session."""
    made = tf.compat.v1.ConfigProto()
    both = found.tensorflow_session_parallelism
    made.intra_op_parallelism_threads = found.tensorflow_intra_op_parallelism or both
    # -1: operations run in the calling thread; small models gain, and batches are parallel anyway
    made.inter_op_parallelism_threads = found.tensorflow_inter_op_parallelism or both or -1
    return made


def _watch(found: argparse.Namespace, manager: ModelManager, stop: threading.Event) -> None:
    """Polls versions, and the configuration file if asked to, until stopped."""
    every = found.file_system_poll_wait_seconds
    config_every = found.model_config_file_poll_wait_seconds if found.model_config_file else 0
    if not every and not config_every:
        return
    waited, text = 0.0, _text(found.model_config_file)
    step = min(value for value in (every, config_every) if value)
    while not stop.wait(step):
        waited += step
        try:
            if config_every and waited >= config_every:
                waited, now = 0.0, _text(found.model_config_file)
                if now != text:
                    manager.configure(model_configs(found))
                    text = now
                    log.info("Re-read model_config_file")
            if every:
                manager.poll()
        except (StatusError, config.ConfigError) as error:
            log.error("%s", error)
        except Exception:
            log.exception("Polling failed")


def _text(path: str) -> str | None:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8") if path else None
    return None


def serve(found: argparse.Namespace) -> int:
    """Serves until a signal comes.

    Args:
        found: The parsed command line.

    Returns:
        The process's exit status.
    """
    tf.get_logger().setLevel(logging.ERROR)
    for name in sorted(flags.IGNORED):
        if getattr(found, name) is not None:
            log.warning("--%s has no effect: %s", name, flags.IGNORED[name])
    metrics = Metrics()
    session = session_config(found)
    tags = [tag for tag in found.saved_model_tags.split(",") if tag]

    def load(name: str, version: int, path: Path) -> Servable:
        servable = Servable(name, version, path, tags, session)
        try:
            _prepare(servable, found, metrics)
        except BaseException:
            servable.retire()
            servable.close_if_idle()
            raise
        return servable

    manager = ModelManager(
        load,
        found.max_num_load_retries,
        found.load_retry_interval_micros / 1e6,
        found.allow_version_labels_for_unavailable_models,
    )
    try:
        secure = tls.context(found)
        token = _token(found.bearer_token_file)
        metrics_path = None
        if found.monitoring_config_file:
            metrics_path = config.read_monitoring_config(found.monitoring_config_file)
        manager.configure(model_configs(found))
        problems = manager.first_errors()
        if problems:
            raise config.ConfigError("; ".join(problems))
    except (config.ConfigError, StatusError) as error:
        log.error("Cannot start: %s", "; ".join(manager.first_errors()) or error)
        manager.close()
        return 1
    app = RestApp(
        manager,
        _batcher(found, metrics),
        metrics,
        flags.limits(found),
        metrics_path,
        found.rest_api_enable_cors_support,
        token,
        found.enable_signature_method_name_check,
    )
    return _listen(found, app, manager, secure)


def _prepare(servable: Servable, found: argparse.Namespace, metrics: Metrics) -> None:
    """Warms a version up before it is published, and learns which requests may be mixed."""
    started = time.perf_counter()
    if found.enable_model_warmup:
        count = warmup.replay(servable, found.num_request_iterations_for_warmup)
        if count:
            metrics.warmup(str(servable.path), time.perf_counter() - started, "OK")
            log.info("Replayed %d warm-up records of %s", count, servable.path)
    for signature in servable.signatures.values():
        if signature.bound:
            signature.row_independent = independence.rows_independent(signature)


def _batcher(found: argparse.Namespace, metrics: Metrics) -> Batcher:
    settings = None
    mixing = "never" if found.enable_batching is False else "independent"
    if found.enable_batching:
        mixing, settings = "always", config.BatchingConfig()
        if found.batching_parameters_file:
            settings = config.read_batching_config(found.batching_parameters_file)
    return Batcher(metrics, settings, found.rest_api_max_pending, mixing)


def _token(path: str) -> str | None:
    if not path:
        return None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise config.ConfigError(f"--bearer_token_file: {error}") from None
    if not token:
        raise config.ConfigError(f"--bearer_token_file: '{path}' is empty")
    return token


def _listen(
    found: argparse.Namespace,
    app: RestApp,
    manager: ModelManager,
    secure: ssl.SSLContext | None,
) -> int:
    family = socket.AF_INET6 if ":" in found.rest_api_address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((found.rest_api_address, found.rest_api_port))
    except OSError as error:
        log.error(
            "Cannot start: %s:%d: %s", found.rest_api_address, found.rest_api_port, error.strerror
        )
        listener.close()
        manager.close()
        return 1
    port = listener.getsockname()[1]
    settings = uvicorn.Config(
        app,
        http=protocol.protocol(found.rest_api_header_timeout_in_ms / 1000),
        limit_concurrency=found.rest_api_max_connections,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, found.graceful_stop_in_ms // 1000),
    )
    settings.load()
    settings.ssl = secure
    server = Server(settings)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a malformed request is no event
    stop = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(found, manager, stop), name="watch-models", daemon=True
    )

    async def run() -> None:
        listener.listen(1024)
        ready = asyncio.create_task(_announce(server, _address(found, port, secure)))
        try:
            await server.serve(sockets=[listener])
        finally:
            ready.cancel()

    gc.collect()
    gc.freeze()
    watcher.start()
    try:
        _run_loop(run())
    finally:
        stop.set()
        watcher.join(timeout=5)
        manager.close()
        listener.close()
    log.info("Stopped")
    return 0


def _run_loop(main: object) -> None:
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        runner.run(main)  # type: ignore[arg-type]


def _address(found: argparse.Namespace, port: int, secure: ssl.SSLContext | None) -> str:
    host = found.rest_api_address
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{port}"


async def _announce(server: Server, address: str) -> None:
    while not server.started:
        await asyncio.sleep(0.005)
    log.info("Exporting HTTP/REST API at:%s ...", address)
    with contextlib.suppress(OSError):
        sys.stdout.write(f"ready {address}\n")
        sys.stdout.flush()
