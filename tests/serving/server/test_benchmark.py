"""The serving benchmark from end to end, for moments only."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_it_measures_and_writes(tmp_path: Path) -> None:
    out = tmp_path / "results/serving.json"
    command = [sys.executable, "-m", "benchmarks.serving", "--seconds", "0.4", "--rate", "50"]
    command += ["--clients", "1", "16", "--rows", "1", "10", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result = json.loads(out.read_text())
    assert result["floor"].keys() == {"1", "10"}
    cell = result["server"]["columns"]["10 rows, 16 clients"]
    assert cell["failed"] == 0
    assert cell["rows_per_second"] == pytest.approx(10 * cell["requests_per_second"], rel=0.01)
    assert result["server"]["reload"]["while_loading"]["failed"] == 0
    assert result["server"]["reload"]["versions"] > 0
    assert len(result["targets"]) == 4
    assert done.stdout.count("\n") > 10
    text = out.read_text()
    assert socket.gethostname() not in text
    assert str(tmp_path) not in text
    assert str(ROOT) not in text
