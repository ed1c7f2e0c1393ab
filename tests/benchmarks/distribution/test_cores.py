"""What further cores bring: to what each run is compared."""

import os

import pytest

from benchmarks.distribution.command import held
from benchmarks.distribution.cores import as_markdown, grown


def _run(what, cores, speed):
    return {"what": what, "cores": cores, "rows_per_second": speed}


def test_a_process_a_core_is_compared_with_one_process_on_one_core():
    one, all_of_them = "training, one process", "training, a process a core"
    runs = [_run("preparation on duckdb", 1, 100), _run("preparation on duckdb", 2, 150)]
    runs += [_run(one, 1, 1000), _run(one, 2, 1300), _run(all_of_them, 2, 700)]
    assert [run["times"] for run in grown(runs)] == pytest.approx([1, 1.5, 1, 1.3, 0.7])


def test_every_process_has_cores_of_its_own():
    first = sorted(os.sched_getaffinity(0))[0]
    assert held(0, 1) == ["taskset", "-c", str(first)]
    words = {held(index, 1)[2] for index in range(len(os.sched_getaffinity(0)))}
    assert len(words) == len(os.sched_getaffinity(0))


def test_the_page_names_the_load_and_the_machine():
    machine = {
        "cpu": "a CPU",
        "cores": 2,
        "memory_gib": 4,
        "system": "Linux",
        "python": "3.11",
        "versions": {"duckdb": "2.0.0"},
    }
    runs = grown([_run("training, one process", 1, 2000)])
    found = {"rows": 400, "exposures": 200, "runs": runs, "load": 0.3, "machine": machine}
    page = as_markdown({**found, "command": "c"})
    assert "| training, one process | 1 | 2,000 | 1.00 |" in page
    assert "Load at the start: 0.3." in page
