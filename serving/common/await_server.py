"""Waits until a model server, TensorFlow's or the embedded one, does what a models.config says."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Server:
    """Where a model server answers, and what lets a request in.

    Attributes:
        url: REST address.
        token: bearer token, or None.
        ca_file: PEM file of the authority that signed the server's certificate; None for those
            that the system trusts.
    """

    url: str
    token: str | None = None
    ca_file: str | None = None

    def ask(self, address: str) -> str:
        """Returns the body of a GET request's answer.

        Raises:
            OSError: if there is no answer, or it is an error (`urllib.error.HTTPError`).
        """
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(address, headers=shown)
        trusted = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(request, timeout=10, context=trusted) as response:
            return str(response.read().decode())


def wait_until_available(server: Server, model: str, version: int, timeout: float) -> None:
    """Waits until a server says that a version is AVAILABLE.

    Args:
        server: which.
        model: the model's name.
        version: the version.
        timeout: seconds to wait.

    Raises:
        ValueError: if it does not in time, with its last answer.
    """
    address = f"{server.url.rstrip('/')}/v1/models/{model}/versions/{version}"
    answer = _wait(server, address, timeout, lambda found: _states(found) == ["AVAILABLE"])
    if answer is not None:
        raise ValueError(
            f"url: {address} did not become AVAILABLE within {timeout:g} s; the last answer "
            f"was {answer!r}. The label was not moved. Does the server poll the file "
            "(--model_config_file_poll_wait_seconds)?"
        )


def wait_until_labelled(
    server: Server, model: str, label: str, version: int, timeout: float
) -> None:
    """Waits until a server answers by a label with that version.

    Args:
        server: which.
        model: the model's name.
        label: the label.
        version: what it must mean.
        timeout: seconds to wait.

    Raises:
        ValueError: if it does not in time, with its last answer.
    """
    address = f"{server.url.rstrip('/')}/v1/models/{model}/labels/{label}/metadata"
    answer = _wait(server, address, timeout, lambda found: _version(found) == str(version))
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


def _wait(
    server: Server, address: str, timeout: float, reached: Callable[[Any], bool]
) -> str | None:
    """Asks until an answer will do; None then, the last answer if the time is over."""
    deadline, answer = time.monotonic() + timeout, ""
    while True:
        try:
            answer = server.ask(address)
            if reached(json.loads(answer)):
                return None
        except urllib.error.HTTPError as error:
            answer = error.read().decode(errors="replace")
        except (OSError, ValueError, KeyError, TypeError) as error:
            answer = str(error)
        if time.monotonic() >= deadline:
            return answer.strip()
        time.sleep(0.2)
