"""The side-by-side table: which columns and rows, what stands in a cell."""

import pytest

from benchmarks.paper.overview import overview
from benchmarks.paper.summary import compare, summarise


def row(setting, backbone, method, seed, auc):
    metrics = {space: {"cvr_auc": auc + 0.001 * seed} for space in ("all_raw", "all_funnel")}
    return {
        "setting": setting,
        "backbone": backbone,
        "method": method,
        "seed": seed,
        "overrides": {},
        "metrics": metrics,
    }


def made(*rows, name="kuairand_made"):
    told = {"summary": summarise(rows), "differences": compare(rows)}
    return {"name": name, "rows": list(rows), **told}


@pytest.fixture
def result():
    rows = []
    for setting, backbone, base in (("fixed", "mlp", 0.7), ("equal", "mlp", 0.8)):
        for seed in range(3):
            rows.append(row(setting, backbone, "esmm", seed, base + 0.01 + 1e-5 * seed))
            rows.append(row(setting, backbone, "all_negative", seed, base))
    rows.append(row("equal", "deepfm", "esmm", 0, 0.75))
    rows.append(row("equal", "mlp", "oracle_relabel", 0, 0.85))
    return made(*rows)


def test_methods_stand_beside_themselves_with_the_difference_to_all_negative(result):
    page = overview(result)
    assert "| method | `fixed` mlp | `equal` mlp | `equal` deepfm | paper, mlp" in page
    assert "| ESMM | 0.7110 (+0.0100*) | 0.8110 (+0.0100*) | 0.7500 | 0.8444 |" in page
    assert "| AllNegative | 0.7010 | 0.8010 |  |" in page
    assert "| seeds | 3 | 1-3 | 1 |" in page
    assert "`all_raw`" in page
    assert "`all_funnel`" in page


def test_what_one_column_alone_has_is_left_to_its_own_table(result):
    assert "oracle" not in overview(result)


def test_one_group_needs_no_second_table():
    assert overview(made(row("equal", "mlp", "esmm", 0, 0.8))) == ""


def test_other_data_have_no_published_column():
    two = [row(s, "mlp", "esmm", 0, 0.8) for s in ("fixed", "equal")]
    assert "paper, mlp" not in overview(made(*two, name="simulated_kuai"))


def test_a_difference_that_may_be_chance_has_no_star():
    rows = [row(s, "mlp", "all_negative", seed, 0.7) for s in ("a", "b") for seed in range(3)]
    rows += [
        row("a", "mlp", "esmm", seed, 0.7 + gain) for seed, gain in enumerate((0.01, -0.02, 0.02))
    ]
    rows += [row("b", "mlp", "esmm", 0, 0.7)]
    page = overview(made(*rows))
    assert "(+0.0033)" in page
    assert "*)" not in page.split("all_raw", 1)[1]
