"""Server and load processes of benchmarks.serving."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.free_ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


class Process:
    """A server process and its address; `folder` is the checkout that it runs in."""

    def __init__(self, command: Sequence[str], url: str = "", folder: Path = ROOT) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL if url else subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=QUIET,
        )
        self.url = url

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


def start_server(model: str, base: Path, *flags: str) -> Process:
    """Starts the embedded server on a free port."""
    return start(f"--model_name={model}", f"--model_base_path={base}", *flags)


def start(*flags: str) -> Process:
    """Starts the embedded server with these flags alone, on a free port."""
    found = Process([sys.executable, "-m", "serving.server", "--rest_api_port=0", *flags])
    assert found.process.stdout is not None
    line = found.process.stdout.readline()
    if not line.startswith("ready "):
        raise RuntimeError("the server did not start")
    found.url = line.split()[1]
    return found


def start_kserve(python: str, model: str, version: Path) -> Process:
    """Starts KServe's server with the same model."""
    (port,) = free_ports(1)
    script = str(Path(__file__).parent / "kserve.py")
    url = f"http://127.0.0.1:{port}"
    found = Process([python, script, model, str(version), str(port)], url)
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"{url}/v1/models/{model}", timeout=2):
                return found
        except OSError:
            if found.process.poll() is not None:
                break
            time.sleep(0.5)
    found.__exit__()
    raise RuntimeError("KServe's server did not start")


def load(url: str, model: str, body: Path, rows: int, seconds: float, *more: str) -> dict[str, Any]:
    """Runs the load generator in a process of its own."""
    command = [sys.executable, "-m", "serving.load", "--url", url, "--model", model]
    command += ["--body", str(body), "--rows", str(rows), "--seconds", str(seconds), "--json", "-"]
    done = subprocess.run(
        [*command, *more], cwd=ROOT, capture_output=True, text=True, env=QUIET, check=False
    )
    if not done.stdout:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def wait_for(url: str, model: str, wanted: set[int]) -> None:
    """Waits until these versions of a model are there and no other one."""
    for _ in range(600):
        with urllib.request.urlopen(f"{url}/v1/models/{model}", timeout=30) as answer:
            states = json.load(answer)["model_version_status"]
        if {int(s["version"]) for s in states if s["state"] != "END"} == wanted and all(
            s["state"] in ("AVAILABLE", "END") for s in states
        ):
            return
        time.sleep(0.1)
    raise RuntimeError(f"versions {sorted(wanted)} were not loaded within a minute")
