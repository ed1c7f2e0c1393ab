"""The page of what history costs: an earlier release beside, where one was measured."""

from benchmarks.history.report import as_markdown


def _run(seconds, processor):
    told = {"peak_memory_gib": 1.0, "prepared_bytes": 2**30, "load": 1.0}
    return {"seconds": seconds, "processor_seconds": processor, **told}


def test_history_is_compared_with_the_release_before_where_one_was_measured():
    run = {"rows": 1000, "without": _run(10.0, 8.0), "with": _run(15.0, 20.0), "times": 1.5}
    alone = as_markdown({"runs": [run], "command": "c"})
    assert "by the clock: 1.5 at 1,000; in processor time: 2.50." in alone
    assert "aim" not in alone

    run["before"] = {**_run(30.0, 10.0), "release": "1234567"}
    page = as_markdown({"runs": [run], "command": "c"})
    assert "| 1,000 | without, at 1234567 | 30.0 | 10.0 | 1.00 | 1.000 | 1 |" in page
    assert "over 1234567 without: 0.50 by the clock, 2.00 in processor time" in page
