"""The table of streams: paired differences by seed, and both controls of the same weights."""

import json

import numpy as np
import pytest

from benchmarks.feedback import hour, streams


def cell(auc, log_loss, pcoc, ri=0.5):
    """A cell whose method has these, beside a pretrained model and an oracle."""
    told = {
        "method": {"auc": auc, "log_loss": log_loss, "pcoc": pcoc},
        "pretrained": {"auc": 0.6, "log_loss": 0.7, "pcoc": 0.4},
        "oracle": {"auc": 0.8, "log_loss": 0.5, "pcoc": 0.8},
    }
    improved = {"auc": ri, "pr_auc": None, "log_loss": ri}
    return {
        "pooled": {name: {"clicked": values} for name, values in told.items()},
        "ri": {"pooled": {"method": {"clicked": improved}}},
    }


def test_differences_are_of_the_same_seed(tmp_path):
    (tmp_path / "cells").mkdir()
    for seed, lower in enumerate((0.0, 0.01, 0.03)):
        told = {
            "observed": cell(0.70 + lower, 0.60, 0.6),
            "fnw": cell(0.72 + lower, 0.58 + lower, 0.72 + 0.08 * lower),
        }
        for name, value in told.items():
            path = tmp_path / f"cells/all_negative-{name}-{seed}.json"
            path.write_text(json.dumps(value))
    text = streams.table(tmp_path, tmp_path / "table.md")
    rows = {line.split(" | ")[1]: line.strip("| ").split(" | ") for line in text.splitlines()[2:]}
    assert list(rows) == ["pretrained", "observed", "fnw", "oracle"]
    fnw = rows["fnw"]
    assert fnw[2:5] == ["3", "0.7333", "0.0200 ± 0.0000"]  # by seed: .02 each time
    differences = np.array([-0.02, -0.01, 0.01])
    half = 4.302653 * differences.std(ddof=1) / np.sqrt(3)  # Student's t of two degrees
    assert fnw[6] == f"{differences.mean():.4f} ± {half:.4f}"
    assert fnw[7].startswith("0.9013")  # .72 / .8 = .9, and .001 to .003 more
    assert fnw[8] == "0.5000 ± 0.0000"
    assert rows["observed"][4] == ""
    assert rows["oracle"][-3:] == ["1", "1", "1"]


def test_a_finished_cell_is_not_run_again(tmp_path):
    (tmp_path / "cells").mkdir()
    path = tmp_path / "cells/all_negative-fnw-0.json"
    path.write_text("{}")
    streams.run("all_negative", "fnw", 0, tmp_path)  # no data: it would fail
    assert path.read_text() == "{}"
    names = list(streams.cells([0, 1], ["click_only"]))
    assert names[0] == ("click_only", "observed", 0)
    assert len(names) == 2 * 6
    assert ("click_only", "fnc", 1) in names


@pytest.mark.parametrize("name", ["kuairand", "million"])
def test_a_made_log_is_in_the_order_of_time_and_of_the_stated_size(name, monkeypatch):
    size = hour.SIZES[name]
    values = {feature: min(count, 500) for feature, count in size.values.items()}
    monkeypatch.setitem(hour.SIZES, name, hour.Size(values, 400, 2))
    log = hour.make_log(name, 3)
    assert len(log) == 400 * 5
    assert (np.diff(log.times.shown) >= 0).all()
    assert (log.times.clicked >= log.times.shown).all()
    assert (log.times.converted >= log.times.clicked).all()
    assert log.arrays["user_id"].max() < 500
    if name == "million":
        assert len(np.unique(log.arrays["user_id"][: 2 * 400])) == 500
