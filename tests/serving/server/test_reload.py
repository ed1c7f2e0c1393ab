"""Reload: a renewed token and certificate, models.config, and versions whatever it says."""

import contextlib
import shutil
import signal
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

BODY = {"instances": [1.0]}


def config_of(base: Path) -> str:
    return (
        f'model_config_list {{ config {{ name: "m" base_path: "{base}" '
        'model_platform: "tensorflow" } }'
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, certificates: Path, model_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("reload")
    for name in ("server.pem", "server.key", "token"):
        shutil.copy(certificates / name, folder / name)
    shutil.copytree(model_folder / "half_plus_two/1", folder / "m/1")
    (folder / "models.config").write_text(config_of(folder / "m"))
    return folder


@pytest.fixture(scope="module")
def server(start_server: Any, home: Path) -> Any:
    return start_server(
        f"--model_config_file={home / 'models.config'}",
        "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1",
        f"--ssl_certfile={home / 'server.pem'}",
        f"--ssl_keyfile={home / 'server.key'}",
        f"--bearer_token_file={home / 'token'}",
    )


def status(server: Any, trusting: ssl.SSLContext, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return server.predict("m", BODY, context=trusting, headers=headers).status


def certificate(server: Any, trusting: ssl.SSLContext) -> bytes:
    """The certificate that a new connection is shown."""
    parts = urlsplit(server.url)
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=20) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.getpeercert(binary_form=True)


def test_a_renewed_token_is_asked_for(
    server: Any, trusting: ssl.SSLContext, home: Path, http_tools: Any
) -> None:
    assert status(server, trusting, "a-long-secret") == 200
    (home / "token").write_text("another-secret\n")
    server.process.send_signal(signal.SIGHUP)
    http_tools.wait_until(lambda: status(server, trusting, "another-secret") == 200)
    assert status(server, trusting, "a-long-secret") == 401
    # an empty file is no token: what was, stays
    (home / "token").write_text("")
    http_tools.wait_until(lambda: "is empty" in server.log)
    assert status(server, trusting, "another-secret") == 200
    assert status(server, trusting, "") == 401
    (home / "token").write_text("a-long-secret\n")
    http_tools.wait_until(lambda: status(server, trusting, "a-long-secret") == 200)


def test_a_renewed_certificate_is_shown_to_new_connections(
    server: Any, trusting: ssl.SSLContext, certificates: Path, home: Path, http_tools: Any
) -> None:
    before = certificate(server, trusting)
    # the certificate alone does not fit the key: told once, and what was, stays
    shutil.copy(certificates / "client.pem", home / "server.pem")
    http_tools.wait_until(lambda: "--ssl_certfile, --ssl_keyfile: " in server.log)
    assert certificate(server, trusting) == before
    shutil.copy(certificates / "client.key", home / "server.key")
    http_tools.wait_until(lambda: certificate(server, trusting) != before)
    assert status(server, trusting, "a-long-secret") == 200


def test_sighup_ends_nothing(server: Any, trusting: ssl.SSLContext) -> None:
    server.process.send_signal(signal.SIGHUP)
    assert status(server, trusting, "a-long-secret") == 200
    assert server.process.poll() is None


@pytest.mark.parametrize("broken", [b"model_config_list {", b"\xff\xfe no text"])
def test_versions_load_while_the_config_is_broken(
    server: Any,
    trusting: ssl.SSLContext,
    home: Path,
    model_folder: Path,
    http_tools: Any,
    broken: bytes,
) -> None:
    said = len(server.log)
    (home / "models.config").write_bytes(broken)
    http_tools.wait_until(lambda: "model_config_file" in server.log[said:])
    number = max(int(p.name) for p in (home / "m").iterdir()) + 1
    shutil.copytree(model_folder / "half_plus_two/2", home / "m/.tmp")
    (home / "m/.tmp").rename(home / f"m/{number}")

    def available() -> bool:
        headers = {"Authorization": "Bearer a-long-secret"}
        found = server.ask("GET", "/v1/models/m", context=trusting, headers=headers).json
        states = {e["version"]: e["state"] for e in found["model_version_status"]}
        return states.get(str(number)) == "AVAILABLE"

    http_tools.wait_until(available)
    with contextlib.suppress(AssertionError):  # two more polls say nothing more
        http_tools.wait_until(lambda: False, seconds=2.2)
    assert server.log[said:].count("model_config_file") == 1
    assert "Traceback" not in server.log
    (home / "models.config").write_text(config_of(home / "m"))
    http_tools.wait_until(lambda: "Re-read model_config_file" in server.log[said:])
