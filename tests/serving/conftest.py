"""A trained run, its export, and an embedded server over a real socket."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tiny_model(tiny):
    """A trained model."""
    return tiny.train()


@pytest.fixture(scope="session")
def tiny_run(tiny, tiny_model, tmp_path_factory) -> Path:
    """The run's folder."""
    return tiny.write_run(tmp_path_factory.mktemp("runs") / "esmm", tiny_model)


@pytest.fixture(scope="session")
def tiny_base(tiny, tiny_model, tmp_path_factory) -> Path:
    """A model's folder with one version."""
    from idefn_tf.export import export_model

    return export_model(
        tiny_model, tiny.SCHEMA, tmp_path_factory.mktemp("models") / "cvr", replay=tiny.make_frame()
    ).parent


@pytest.fixture(scope="session")
def embedded(warm_processes) -> Iterator[Callable[..., str]]:
    """Starts embedded servers with the given flags and returns their URLs."""
    processes = []

    def start(*flags: str) -> str:
        process = warm_processes.Popen(
            [sys.executable, "-m", "serving.server", "--rest_api_port=0", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        processes.append(process)
        line = process.stdout.readline()
        assert line.startswith("ready http"), process.stderr.read()
        return line.split()[1]

    yield start
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture(scope="session")
def tiny_url(tiny_base, embedded) -> str:
    """A server of the version in `tiny_base`."""
    return embedded("--model_name=cvr", f"--model_base_path={tiny_base}")


@pytest.fixture(scope="session")
def cli_root() -> Path:
    """Where commands are run."""
    return ROOT


@pytest.fixture(scope="session")
def embedded_grpc(warm_processes) -> Iterator[Callable[..., tuple[str, str]]]:
    """Starts servers with both doors; returns REST's URL and gRPC's address."""
    import socket

    processes = []

    def start(*flags: str) -> tuple[str, str]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        process = warm_processes.Popen(
            [sys.executable, "-m", "serving.server", "--rest_api_port=0", f"--port={port}", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        processes.append(process)
        line = process.stdout.readline()
        assert line.startswith("ready http"), process.stderr.read()
        return line.split()[1], f"127.0.0.1:{port}"

    yield start
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0


@pytest.fixture(scope="session")
def past_model(past):
    """A trained model that takes history."""
    return past.train()


@pytest.fixture(scope="session")
def past_run(past, past_model, tmp_path_factory) -> Path:
    """The run's folder."""
    return past.write_run(tmp_path_factory.mktemp("runs") / "past", past_model)


@pytest.fixture(scope="session")
def past_base(past, past_model, tmp_path_factory) -> Path:
    """A model's folder with one version that is sent history, and none inside."""
    from idefn_tf.export import export_model

    base = tmp_path_factory.mktemp("models") / "past"
    return export_model(past_model, past.SCHEMA, base, replay=past.make_frame()).parent


@pytest.fixture(scope="session")
def past_url(past_base, embedded) -> str:
    """A server of the version in `past_base`."""
    return embedded("--model_name=past", f"--model_base_path={past_base}")
