"""The serving benchmark from end to end, for moments only."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving import command as serving
from benchmarks.serving import parts as serving_parts
from benchmarks.serving import processes
from benchmarks.serving.report import targets

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_it_measures_and_writes(
    tmp_path: Path,
    warm_processes: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The job here; its servers and its load in processes of their own, which start warm."""
    for module in (serving_parts, processes):
        monkeypatch.setattr(module, "subprocess", warm_processes)
    out = tmp_path / "results/serving/serving.json"
    command = ["--seconds", "0.4", "--rate", "50", "--clients", "1", "16", "--rows", "1", "10"]
    command += ["--out", str(out), "--requests", "400", "--parts"]
    assert serving.main([*command, "floor", "columns", "reload"]) == 0
    capsys.readouterr()
    assert serving.main([*command, "rows", "memory", "versions"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(out.read_text())
    assert set(result["parts"]) == {"floor", "columns", "reload", "rows", "memory", "versions"}
    found = {name: part["found"] for name, part in result["parts"].items()}
    assert found["floor"].keys() == {"1", "10"}
    assert found["floor"]["1"].keys() == {"function", "session", "stacked_session"}
    cell = found["columns"]["10 rows, 16 clients"]
    assert cell["failed"] == 0
    assert cell["rows_per_second"] == pytest.approx(10 * cell["requests_per_second"], rel=0.01)
    assert found["reload"]["while_loading"]["failed"] == 0
    assert found["reload"]["versions"] > 0
    assert found["memory"]["requests"] == 4 * 5 * 20
    assert len(found["memory"]["samples"]) == 25
    assert [number for number, _ in found["versions"]["samples"]] == [1, 2, 3, 4, 5]
    assert 12 < found["versions"]["files_mib"] < 16  # 200,000 rows of 16 float32, and the graph
    assert len(result["targets"]) == 9
    assert printed.count("\n") > 10
    page = out.with_suffix(".md").read_text()
    for heading in ("## floor", "## rows", "| 10 rows, 16 clients |", "| aim | measured |"):
        assert heading in page
    text = out.read_text() + page
    assert socket.gethostname() not in text
    assert str(tmp_path) not in text
    assert str(ROOT) not in text


def part(found: Any) -> dict[str, Any]:
    return {"found": found}


def test_aims_by_hand() -> None:
    """Ratios, limits and the least factor over the rival, from made-up measurements."""
    parts = {
        "floor": part({"1": {"function": {"p50_ms": 0.5}, "stacked_session": {"p50_ms": 0.25}}}),
        "columns": part(
            {
                "1 rows, 1 clients": {"p50_ms": 0.8},
                "1 rows, 16 clients": {"requests_per_second": 1999.9},
            }
        ),
        "rows": part({"a": {"requests_per_second": 300.0}, "b": {"requests_per_second": 90.0}}),
        "kserve": part({"a": {"requests_per_second": 100.0}, "b": {"requests_per_second": 100.0}}),
        "reload": part(
            {"undisturbed": {"p99_ms": 8.3}, "while_loading": {"failed": 1, "p99_ms": 24.9}}
        ),
        "memory": part({"requests": 100_000, "grown_mib": 9.9}),
    }
    found = targets(parts)
    assert {name: (t["measured"], t["met"]) for name, t in found.items()} == {
        "one row p50 at most three times the call in process": (1.6, True),
        "one row p50 at most twice the call in process": (1.6, True),
        "one row p50 at most three times the quickest such call": (3.2, False),
        "one row p50 at most twice the quickest such call": (3.2, False),
        "2,000 requests per second at 16 clients": (1999.9, False),
        "no failed request while versions load": (1, False),
        "p99 under 25 ms while versions load": (24.9, True),
        "p99 while versions load at most twice the quiet one": (3.0, False),
        "less than 10 MiB more after 100,000 requests": (9.9, True),
        "quicker than KServe in every cell (least factor)": (0.9, False),
    }
    assert targets({}) == {}
