"""The statistics: against hand-computed numbers, SciPy, and what chance alone gives."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.paper.statistics import holm, paired_difference, spread
from benchmarks.paper.summary import compare, summarise


def row(method, seed, auc, setting="fixed", backbone="mlp"):
    metrics = {"all_raw": {"cvr_auc": auc, "cvr_ks": None}}
    return {
        "setting": setting,
        "backbone": backbone,
        "method": method,
        "seed": seed,
        "metrics": metrics,
    }


def test_a_mean_and_its_spread_by_hand():
    found = spread([0.7, 0.8, 0.9])
    assert (found.mean, found.std, found.seeds) == pytest.approx((0.8, 0.1, 3))
    assert spread([0.7]).std is None
    with pytest.raises(ValueError, match="at least one"):
        spread([])


def test_a_paired_difference_is_scipys_on_the_seeds_that_both_have():
    generator = np.random.default_rng(5)
    a = dict(enumerate(generator.normal(0.80, 0.01, 10)))
    b = dict(enumerate(generator.normal(0.79, 0.01, 12)))
    found = paired_difference(a, b)
    x, y = ([side[s] for s in range(10)] for side in (a, b))
    rival = stats.ttest_rel(x, y)
    interval = rival.confidence_interval(0.95)
    assert found.seeds == 10
    assert found.t_p == pytest.approx(rival.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(x, y, method="exact").pvalue)


def test_pairs_are_seeds_and_not_positions():
    a, b = {0: 0.8, 1: 0.7, 2: 0.6}, {2: 0.5, 1: 0.6, 0: 0.7, 9: 0.1}
    found = paired_difference(a, b)
    assert (found.mean, found.seeds) == (pytest.approx(0.1), 3)


def test_equal_models_differ_by_nothing_and_few_pairs_are_not_tested():
    same = paired_difference({0: 0.8, 1: 0.7, 2: 0.6}, {0: 0.8, 1: 0.7, 2: 0.6})
    assert (same.mean, same.t_p, same.wilcoxon_p) == (0.0, 1.0, 1.0)
    two = paired_difference({0: 0.8, 1: 0.7}, {0: 0.7, 1: 0.7})
    assert (two.mean, two.t_p) == (pytest.approx(0.05), None)
    assert paired_difference({0: 0.8}, {1: 0.7}) is None


def test_holm_by_hand():
    # sorted .01 .02 .03 .04 -> .04 .06 .06 .06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_corrects_within_one_reference_and_column():
    rows = [row("all_negative", s, 0.80 + 0.001 * s) for s in range(4)]
    rows += [row("esmm", s, 0.79 + 0.002 * (s % 2)) for s in range(4)]
    rows += [row("idefn", s, 0.81 - 0.001 * s) for s in range(4)]
    found = {(d["reference"], d["method"]): d for d in compare(rows)}
    assert set(found) == {
        ("all_negative", "esmm"),
        ("all_negative", "idefn"),
        ("esmm", "all_negative"),
        ("esmm", "idefn"),
    }
    for reference in ("all_negative", "esmm"):
        family = [d for (r, _), d in found.items() if r == reference]
        assert [d["holm_p"] for d in family] == pytest.approx(holm([d["t_p"] for d in family]))
    assert found["all_negative", "esmm"]["mean"] == pytest.approx(
        -found["esmm", "all_negative"]["mean"]
    )


def test_a_summary_keeps_settings_apart_and_skips_what_is_not_defined():
    rows = [row("esmm", 0, 0.7), row("esmm", 0, 0.9, setting="equal"), row("esmm", 1, 0.8)]
    found = {(s["setting"], s["metric"]): s for s in summarise(rows)}
    assert set(found) == {("fixed", "cvr_auc"), ("equal", "cvr_auc")}
    assert found["fixed", "cvr_auc"]["mean"] == pytest.approx(0.75)
    assert found["equal", "cvr_auc"]["seeds"] == 1
