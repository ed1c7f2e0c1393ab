"""Waits until a model server, TensorFlow's or the embedded one, does what a models.config says."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any


def wait_until_available(url: str, model: str, version: int, timeout: float) -> None:
    """Waits until a server says that a version is AVAILABLE.

    Args:
        url: REST address of the server.
        model: the model's name.
        version: the version.
        timeout: seconds to wait.

    Raises:
        ValueError: if it does not in time, with its last answer.
    """
    address = f"{url.rstrip('/')}/v1/models/{model}/versions/{version}"
    answer = _wait(address, timeout, lambda found: _states(found) == ["AVAILABLE"])
    if answer is not None:
        raise ValueError(
            f"url: {address} did not become AVAILABLE within {timeout:g} s; the last answer "
            f"was {answer!r}. The label was not moved. Does the server poll the file "
            "(--model_config_file_poll_wait_seconds)?"
        )


def wait_until_labelled(url: str, model: str, label: str, version: int, timeout: float) -> None:
    """Waits until a server answers by a label with that version.

    Args:
        url: REST address of the server.
        model: the model's name.
        label: the label.
        version: what it must mean.
        timeout: seconds to wait.

    Raises:
        ValueError: if it does not in time, with its last answer.
    """
    address = f"{url.rstrip('/')}/v1/models/{model}/labels/{label}/metadata"
    answer = _wait(address, timeout, lambda found: _version(found) == str(version))
    if answer is not None:
        raise ValueError(
            f"url: {address} did not name version {version} within {timeout:g} s; the last answer "
            f"was {answer[:300]!r}. The file says it: does the server poll it "
            "(--model_config_file_poll_wait_seconds), and is it the server's file?"
        )


def _states(answer: Any) -> list[str]:
    return [entry["state"] for entry in answer["model_version_status"]]


def _version(answer: Any) -> str:
    return str(answer["model_spec"]["version"])


def _wait(address: str, timeout: float, reached: Callable[[Any], bool]) -> str | None:
    """Asks until an answer will do; None then, the last answer if the time is over."""
    deadline, answer = time.monotonic() + timeout, ""
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                answer = response.read().decode()
            if reached(json.loads(answer)):
                return None
        except urllib.error.HTTPError as error:
            answer = error.read().decode(errors="replace")
        except (OSError, ValueError, KeyError, TypeError) as error:
            answer = str(error)
        if time.monotonic() >= deadline:
            return answer.strip()
        time.sleep(0.2)
