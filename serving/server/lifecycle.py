"""Start, watch and stop: wires the parts together and keeps the process's promises.

The port opens only after every configured model has an available version; if one has none the
process says why and ends with status 1. SIGTERM and SIGINT stop accepting, answer what has been
accepted, and end with status 0. SIGHUP reads changed files again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf
import uvicorn

from serving.common import config
from serving.server import flags
from serving.server.errors import StatusError
from serving.server.metrics import Metrics
from serving.server.models.manager import ModelManager
from serving.server.reload import Reloader
from serving.server.rest import protocol
from serving.server.rest.app import RestApp
from serving.server.rpc.calls import Calls
from serving.server.rpc.door import Door
from serving.server.rpc.reload_call import NAME as RELOAD
from serving.server.rpc.reload_call import reload_call
from serving.server.runtime import row_independence, warmup
from serving.server.runtime.batching import Batcher
from serving.server.runtime.servable import Servable
from serving.server.settings import Settings

log = logging.getLogger("serving.server")


class Server(uvicorn.Server):
    """uvicorn that ends with status 0 on the first signal and at once on the second.

    Args:
        web: uvicorn's own settings.
        reload: what SIGHUP asks for: files are read again, and nothing ends.
        stopping: is told of the first signal to stop.
    """

    def __init__(
        self, web: uvicorn.Config, reload: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(web)
        self._reload, self._stopping = reload, stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Asks for a graceful stop instead of letting the signal end the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        self._stopping()


def session_config(found: argparse.Namespace) -> tf.compat.v1.ConfigProto:
    """Threads of each session."""
    made = tf.compat.v1.ConfigProto()
    both = found.tensorflow_session_parallelism
    made.intra_op_parallelism_threads = found.tensorflow_intra_op_parallelism or both
    # -1: operations run in the calling thread; small models gain, and batches are parallel anyway
    made.inter_op_parallelism_threads = found.tensorflow_inter_op_parallelism or both or -1
    return made


def serve(settings: Settings) -> int:
    """Serves until a signal comes.

    Args:
        settings: The command line and what its files say.

    Returns:
        The process's exit status.
    """
    tf.get_logger().setLevel(logging.ERROR)
    found, metrics = settings.flags, Metrics()
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
    # What is here to stay (TensorFlow itself) is kept out of the garbage collector's rounds, which
    # would otherwise stop all requests for a tenth of a second now and then.
    gc.collect()
    gc.freeze()
    # While a version loads, its thread computes in Python; requests must get their turn soon.
    sys.setswitchinterval(0.0005)
    problem = None
    try:
        manager.configure(settings.models)
    except StatusError as error:
        problem = str(error)
    problem = "; ".join(manager.first_errors()) or problem
    if problem:
        log.error("Cannot start: %s", problem)
        manager.close()
        return 1
    batcher = Batcher(metrics, settings.batching, found.rest_api_max_pending, settings.mixing)
    app = RestApp(
        manager,
        batcher,
        metrics,
        flags.limits(found),
        settings.metrics_path,
        found.rest_api_enable_cors_support,
        settings.token,
        found.enable_signature_method_name_check,
        found.rest_api_log_requests,
    )
    try:
        _listen(settings, app, manager, batcher, metrics)
    except config.ConfigError as error:
        log.error("Cannot start: %s", error)
        return 1
    finally:
        batcher.close()
        manager.close()
    log.info("Stopped")
    return 0


def _prepare(servable: Servable, found: argparse.Namespace, metrics: Metrics) -> None:
    """Warms a version up before it is published, and learns which requests may be mixed."""
    started = time.perf_counter()
    if found.enable_model_warmup:
        count = warmup.warm_up(servable, found.num_request_iterations_for_warmup)
        if count:
            metrics.warmup(str(servable.path), time.perf_counter() - started, "OK")
            log.info("Ran %d warm-up records of %s", count, servable.path)
    for signature in servable.signatures.values():
        if signature.bound:
            signature.row_independent = row_independence.rows_independent(signature)


def _listen(
    settings: Settings, app: RestApp, manager: ModelManager, batcher: Batcher, metrics: Metrics
) -> None:
    found = settings.flags
    web = protocol.web_config(
        app,
        protocol.protocol(
            found.rest_api_header_timeout_in_ms / 1000, found.rest_api_write_timeout_in_ms / 1000
        ),
        limit_concurrency=found.rest_api_max_connections,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, found.graceful_stop_in_ms // 1000),
    )
    web.load()
    web.ssl = settings.tls
    grace = found.graceful_stop_in_ms / 1000
    doors: list[Door] = []

    def use_token(token: str) -> None:
        app.use_token(token)
        for door in doors:
            door.use_token(token)

    def stopping() -> None:
        for door in doors:
            door.stop(grace)

    reloader = Reloader(settings, manager, use_token)
    server = Server(web, reloader.now, stopping)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a malformed request is no event

    async def run() -> None:
        if found.port:
            calls = Calls(
                manager,
                batcher,
                metrics,
                flags.limits(found),
                found.grpc_max_threads,
                found.enable_serialization_as_tensor_content,
                found.enable_signature_method_name_check,
            )
            reload = reload_call(manager, settings.models, found.allow_grpc_reload)
            named = {**calls.by_name(), RELOAD: reload}
            doors.append(Door(found, named, settings.token))
            await doors[0].start()
            log.info("Running gRPC server at %s ...", doors[0].address)
        settings.listener.listen(1024)
        ready = asyncio.create_task(_announce(server, settings.address))
        try:
            await server.serve(sockets=[settings.listener])
        finally:
            ready.cancel()
            for door in doors:  # calls under way need this loop
                await door.stop(grace)

    reloader.start()
    try:
        _run_loop(run())
    finally:
        reloader.stop()


def _run_loop(main: object) -> None:
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        runner.run(main)  # type: ignore[arg-type]


async def _announce(server: Server, address: str) -> None:
    while not server.started:
        await asyncio.sleep(0.005)
    log.info("Exporting HTTP/REST API at:%s ...", address)
    with contextlib.suppress(OSError):
        sys.stdout.write(f"ready {address}\n")
        sys.stdout.flush()
