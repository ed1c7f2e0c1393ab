"""Real server processes for the tests, and a plain HTTP client to speak to them."""

import contextlib
import dataclasses
import http.client
import importlib.util
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[3]
CONFORMANCE = Path(__file__).parents[1] / "conformance"


@dataclasses.dataclass
class Answer:
    """What came back: status, headers (names in lower case), body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]


def ask(
    url: str,
    method: str,
    path: str,
    body: bytes | str | Any = None,
    headers: dict[str, str] | None = None,
    timeout: float = 30,
    context: Any = None,
) -> Answer:
    """One request on a connection of its own; a body that is not text is sent as JSON."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    if body is not None and not isinstance(body, bytes | str):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


class ServerProcess:
    """`python -m serving.server` with these flags, on a free port.

    `starter` is `subprocess`, or what starts processes that have TensorFlow imported already.
    """

    def __init__(
        self, starter: Any, log: Path, *flags: str, wait: bool = True, env: dict | None = None
    ) -> None:
        self.log_path = log
        self.url = ""
        with log.open("wb") as stream:
            self.process = starter.Popen(
                [sys.executable, "-m", "serving.server", "--rest_api_port=0", *flags],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.fullmatch(r"ready (https?://\S+)\n", line)
        if match is None:
            code = self.stop(signal.SIGKILL)
            raise AssertionError(f"server did not start ({code}): {line!r}\n{self.log}")
        self.url = match[1]

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        return ask(self.url, method, path, body, **options)

    def predict(self, model: str, body: Any, **options: Any) -> Answer:
        return self.ask("POST", f"/v1/models/{model}:predict", body, **options)

    def states(self, model: str) -> dict[str, str]:
        """State by version."""
        found = self.ask("GET", f"/v1/models/{model}").json["model_version_status"]
        return {entry["version"]: entry["state"] for entry in found}

    def stop(self, number: int = signal.SIGTERM, timeout: float = 40) -> int:
        """Sends a signal and waits; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


def wait_until(check: Callable[[], Any], seconds: float = 20, every: float = 0.05) -> Any:
    """Calls until the result is true; fails if it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"{check} did not come true within {seconds} s")


def load_module(path: Path) -> ModuleType:
    """A helper file of the tests as a module (tests are no packages)."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def saved_models() -> ModuleType:
    """The functions that write the conformance models."""
    return load_module(CONFORMANCE / "saved_models.py")


@pytest.fixture(scope="session")
def model_folder(saved_models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All conformance models and their models.config; tests do not change it."""
    folder = tmp_path_factory.mktemp("conformance")
    saved_models.write(folder)
    monitoring = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'
    (folder / "monitoring.config").write_text(monitoring)
    return folder


Starter = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def start_server(
    warm_processes: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Starter]:
    """Starts servers and, after the module's last test, ends those that still run."""
    with contextlib.ExitStack() as stack:
        count = 0

        def start(*flags: str, starter: Any = warm_processes, **options: Any) -> ServerProcess:
            nonlocal count
            count += 1
            log = tmp_path_factory.mktemp("server") / "log.txt"
            server = ServerProcess(starter, log, *flags, wait=False, **options)
            stack.callback(_end, server)
            return server

        def start_and_wait(*flags: str, wait: bool = True, **options: Any) -> ServerProcess:
            server = start(*flags, **options)
            if wait:
                server.wait_ready()
            return server

        yield start_and_wait


def _end(server: ServerProcess) -> None:
    if server.process.poll() is None:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def conformance_server(
    warm_processes: Any, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One server with all conformance models, for every test that only asks."""
    server = ServerProcess(
        warm_processes,
        tmp_path_factory.mktemp("server") / "log.txt",
        f"--model_config_file={model_folder / 'models.config'}",
        f"--monitoring_config_file={model_folder / 'monitoring.config'}",
    )
    yield server
    _end(server)


@pytest.fixture(scope="session")
def http_tools() -> Any:
    """The helpers of this file, for tests (which cannot import it)."""

    class Tools:
        ask = staticmethod(ask)
        wait_until = staticmethod(wait_until)
        Answer = Answer
        Thread = threading.Thread

    return Tools


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server's certificate for localhost, and a client's."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    openssl(folder, *new, "/CN=ca", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        openssl(folder, *new, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem",
        )  # fmt: skip
    (folder / "token").write_text("a-long-secret\n")
    pem = {name: (folder / name).read_text() for name in ("server.pem", "server.key", "ca.pem")}
    (folder / "ssl.config").write_text(
        f"server_key: {json.dumps(pem['server.key'])}\n"
        f"server_cert: {json.dumps(pem['server.pem'])}\n"
        f"custom_ca: {json.dumps(pem['ca.pem'])}\nclient_verify: true\n"
    )
    return folder


@pytest.fixture(scope="session")
def trusting(certificates: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates / "ca.pem"))
