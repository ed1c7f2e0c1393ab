"""TLS, tokens, origins and addresses: closed by default, open on request."""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

BODY = {"instances": [1.0]}


@pytest.fixture(scope="module")
def model(model_folder: Path) -> list[str]:
    return ["--model_name=half_plus_two", f"--model_base_path={model_folder / 'half_plus_two'}"]


@pytest.fixture(scope="module")
def secure_server(start_server: Any, certificates: Path, model: list[str]) -> Any:
    return start_server(
        *model,
        f"--ssl_certfile={certificates / 'server.pem'}",
        f"--ssl_keyfile={certificates / 'server.key'}",
        f"--bearer_token_file={certificates / 'token'}",
        "--rest_api_enable_cors_support",
        "--rest_api_log_requests",
    )


def test_https_with_a_token(secure_server: Any, trusting: ssl.SSLContext) -> None:
    assert secure_server.url.startswith("https://")
    for header in ("Bearer a-long-secret", "bearer  a-long-secret "):
        found = secure_server.predict(
            "half_plus_two", BODY, context=trusting, headers={"Authorization": header}
        )
        assert (found.status, found.json) == (200, {"predictions": [3.5]})


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer a-long-secreT"},
     {"Authorization": "Basic a-long-secret"}, {"Authorization": "a-long-secret"}],
)  # fmt: skip
@pytest.mark.parametrize(
    "path", ["/v1/models/half_plus_two:predict", "/v1/models/half_plus_two", "/index"]
)
def test_without_the_token(
    secure_server: Any, trusting: ssl.SSLContext, headers: dict[str, str], path: str
) -> None:
    method = "POST" if path.endswith("predict") else "GET"
    found = secure_server.ask(method, path, context=trusting, headers=headers)
    assert found.status == 401
    assert found.headers["www-authenticate"] == "Bearer"
    assert found.error == "A valid bearer token is required"


def test_plain_http_to_a_tls_port(secure_server: Any) -> None:
    parts = urlsplit(secure_server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(b"GET /v1/models/half_plus_two HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"200" not in connection.recv(100)


def test_an_unknown_authority_is_noticed_by_the_client(secure_server: Any) -> None:
    assert " POST /v1/models/half_plus_two:predict 200 " in secure_server.log
    assert "a-long-secret" not in secure_server.log
    with pytest.raises(ssl.SSLCertVerificationError):
        secure_server.ask("GET", "/", context=ssl.create_default_context())


def test_cors_headers_on_every_answer(secure_server: Any, trusting: ssl.SSLContext) -> None:
    token = {"Authorization": "Bearer a-long-secret"}
    for method, path, status in (
        ("POST", "/v1/models/half_plus_two:predict", 400),
        ("GET", "/v1/models/half_plus_two", 200),
        ("GET", "/v1/models/nope", 404),
        ("OPTIONS", "/v1/models/half_plus_two:predict", 200),
    ):
        found = secure_server.ask(
            method, path, context=trusting, headers={**token, "Origin": "https://shop.example"}
        )
        assert found.status == status
        assert found.headers["access-control-allow-origin"] == "*"
        assert found.headers["access-control-allow-methods"] == "POST, GET"
        assert found.headers["access-control-allow-headers"] == "Content-Type"


def test_client_certificates_from_an_ssl_config(
    start_server: Any, certificates: Path, model: list[str], trusting: ssl.SSLContext
) -> None:
    server = start_server(*model, f"--ssl_config_file={certificates / 'ssl.config'}")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.predict("half_plus_two", BODY, context=trusting)
    known = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    known.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    found = server.predict("half_plus_two", BODY, context=known)
    assert found.json == {"predictions": [3.5]}
    # without the flag: no metrics page, no CORS headers
    assert server.ask("GET", "/monitoring/prometheus/metrics", context=known).status == 404
    assert "access-control-allow-origin" not in found.headers


def test_it_listens_on_this_machine_only(conformance_server: Any) -> None:
    parts = urlsplit(conformance_server.url)
    assert parts.hostname == "127.0.0.1"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", parts.port), timeout=5)


def test_a_taken_port_and_unusable_files_end_the_process(
    start_server: Any, conformance_server: Any, certificates: Path, model: list[str]
) -> None:
    (certificates / "empty").write_text("")
    port = urlsplit(conformance_server.url).port
    cases = {
        f"Cannot start: 127.0.0.1:{port}: Address already in use": [f"--rest_api_port={port}"],
        "Cannot start: --bearer_token_file: ": [f"--bearer_token_file={certificates / 'empty'}"],
        "Cannot start: --ssl_certfile, --ssl_keyfile: ": [
            f"--ssl_certfile={certificates / 'server.pem'}",
            f"--ssl_keyfile={certificates / 'client.key'}",
        ],
    }
    started = {
        message: start_server(*model, *flags, wait=False) for message, flags in cases.items()
    }
    for message, server in started.items():
        assert server.process.wait(120) == 1
        assert message in server.log
        assert "Traceback" not in server.log
        server.process.stdout.close()
