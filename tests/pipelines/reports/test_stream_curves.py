"""The report's section of a stream says what stream.json says."""

import pytest

from pipelines.reports.page import page as whole_page
from pipelines.reports.sections.stream_curves import from_result

METRICS = ("auc", "pr_auc", "log_loss", "pcoc")


def values(start, missing=()):
    return {
        space: {m: None if m in missing else start + i / 10 for i, m in enumerate(METRICS)}
        for space in ("clicked", "all_funnel")
    }


def result(names, hours):
    """A stream whose learners have metrics of their own, hour by hour."""
    told = [
        {"hour": h, "metrics": {n: values(h / 100 + i / 1000) for i, n in enumerate(names)}}
        for h in range(hours)
    ]
    whole = {name: values(0.5 + i / 100) for i, name in enumerate(names)}
    return {
        "method": "esmm", "feedback": "fnw", "begins": "2024-03-06T00:00:00+00:00",
        "label": "final", "hours": told, "mean": whole, "pooled": whole,
    }  # fmt: skip


def shown(found, read_page):
    return read_page(whole_page("t", [], [from_result(found)], "now"))


def test_every_number_is_that_of_the_stream(read_page):
    found = result(("pretrained", "method", "oracle"), 3)
    ri = {s: {"auc": 0.25, "pr_auc": None, "log_loss": 0.5} for s in ("clicked", "all_funnel")}
    found["ri"] = {kind: dict.fromkeys(found["mean"], ri) for kind in ("mean", "pooled")}
    page = shown(found, read_page)
    for kind in ("mean", "pooled"):
        for i, name in enumerate(("pretrained", "method", "oracle")):
            for j, metric in enumerate(METRICS):
                value, text = page.cells[f"{kind}/{name}/clicked/{metric}"]
                assert value == 0.5 + i / 100 + j / 10
                assert float(text) == pytest.approx(value, abs=5e-5)
        assert page.cells[f"ri/{kind}/method/all_funnel/auc"] == [0.25, "0.2500"]
        assert page.cells[f"ri/{kind}/method/all_funnel/pr_auc"][1] == "-"
    text = page.text["stream"]
    assert "A stream of 3 hours from 2024-03-06T00:00:00+00:00, feedback fnw." in text
    assert "PCOC of all exposures by the hour; pretrained ends at 0.3200, method ends at" in text
    assert "RI is 0 for the model that never learns again" in text


def test_without_controls_there_is_no_improvement(read_page):
    page = shown(result(("method",), 1), read_page)
    assert not any(key.startswith("ri/") for key in page.cells)
    assert "Without --controls" in page.text["stream"]


def test_hours_without_a_number_are_left_out_of_the_curve(read_page):
    found = result(("method",), 2)
    found["hours"][1]["metrics"]["method"] = values(0.7, missing=("auc", "pcoc"))
    text = shown(found, read_page).text["stream"]
    assert "AUC after a click by the hour; method ends at 0.0000." in text
    assert "PR-AUC after a click by the hour; method ends at 0.8000." in text


def test_a_stream_without_an_hour_has_no_section():
    assert from_result(result(("method",), 0)) is None
