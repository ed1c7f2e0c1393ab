"""Every conformance case over a real socket, against the embedded server and, where there is one,
the real tensorflow_model_server (on PATH, or at TFS_URL with the models of saved_models.py).
"""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common.free_ports import free_ports

CONFORMANCE = Path(__file__).parents[2] / "conformance"
OFFICIAL = json.loads((CONFORMANCE / "cases.json").read_text())["cases"]
OWN = json.loads((CONFORMANCE / "more_cases.json").read_text())["cases"]

# Cases the embedded server answers otherwise on purpose: id -> reason. None of the listed cases is.
KNOWN_DIFFERENCES: dict[str, str] = {}


def _expectations() -> Any:
    spec = importlib.util.spec_from_file_location("expectations", CONFORMANCE / "expectations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


expectations = _expectations()
CASES = [pytest.param(case, id=case["id"]) for case in OFFICIAL + OWN]
# the metrics page shows counts only after requests have been made
CASES.sort(key=lambda parameter: parameter.values[0]["group"] == "monitoring")


def check(url: str, case: dict[str, Any]) -> None:
    answer = expectations.send(url, case["request"])
    wrong = expectations.differences(case["expect"], *answer)
    assert not wrong, f"{'; '.join(wrong)}\n{answer[2][:2000]!r}"


@pytest.mark.parametrize("case", CASES)
def test_embedded_server(conformance_server: Any, case: dict[str, Any]) -> None:
    if case["group"] == "monitoring":  # whichever tests ran before
        for body in ('{"instances": [1.0]}', "oops"):
            conformance_server.predict("half_plus_two", body)
    if case["id"] in KNOWN_DIFFERENCES:
        with pytest.raises(AssertionError):
            check(conformance_server.url, case)
        return
    check(conformance_server.url, case)


def test_ids_are_unique_and_differences_name_cases() -> None:
    ids = [case["id"] for case in OFFICIAL + OWN]
    assert len(set(ids)) == len(ids)
    assert set(KNOWN_DIFFERENCES) <= set(ids)
    assert len(OFFICIAL) == 109


@pytest.fixture(scope="module")
def real_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a real tensorflow_model_server."""
    if url := os.environ.get("TFS_URL"):
        yield url
        return
    program = shutil.which("tensorflow_model_server")
    if program is None:
        pytest.skip("no tensorflow_model_server on PATH and no TFS_URL")
    folder: Path = request.getfixturevalue("model_folder")
    tools = request.getfixturevalue("http_tools")
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            program,
            "--port=0",
            f"--rest_api_port={port}",
            f"--model_config_file={folder / 'models.config'}",
            f"--monitoring_config_file={folder / 'monitoring.config'}",
        ]
    )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return bool(tools.ask(url, "GET", "/v1/models/matrix/metadata").status == 200)
        except OSError:
            assert process.poll() is None, "tensorflow_model_server ended"
            return False

    try:
        tools.wait_until(ready, seconds=120)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("case", CASES)
def test_real_server(real_server: str, case: dict[str, Any]) -> None:
    check(real_server, case)
