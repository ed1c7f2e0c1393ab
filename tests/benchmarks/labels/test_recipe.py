"""The search for a recipe: its judges see observed labels alone, its cells differ in one thing."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.labels.recipe import POINT, RECIPES, recipe_cells, summarise, to_markdown
from benchmarks.labels.recipe_metrics import LEAST_CTR, score_metrics


def test_judges_by_hand():
    cvr = np.array([0.9, 0.2, 0.4, 0.8, 0.3])
    ctr = np.array([0.5, 0.5, 0.25, 0.001, 0.9])
    click = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    conversion = np.array([1.0, 0.0, 1.0, 0.0, 1.0])  # the last has no click: not observed
    found = score_metrics(cvr, ctr, click, conversion)
    # positives .9 and .4 against .2 and .8: three pairs of four are right
    assert found["clicked"] == pytest.approx(3 / 4)
    # against .2, .8 and .3: five of six
    assert found["all_funnel"] == pytest.approx(5 / 6)
    # weights 2, 2, 4, 1 / .02: (2 * 2 + 2 * 50 + 4 * 2) / (6 * 52)
    assert found["everywhere"] == pytest.approx(112 / 312)
    odds = (1 - LEAST_CTR) / LEAST_CTR
    assert found["unclicked"] == pytest.approx((1 + odds + 3) / (4 * (1 + odds)))


def test_weighting_undoes_a_selection_that_features_explain():
    rng = np.random.default_rng(0)
    x, feature = rng.normal(size=(2, 200_000))
    ctr = 1 / (1 + np.exp(-1.5 * x))
    click = (rng.random(x.size) < ctr).astype(float)
    truth = (rng.random(x.size) < 1 / (1 + np.exp(2 - x - feature))).astype(float)
    score = feature  # knows only what selection does not touch, so clicked rows rank it otherwise
    found = score_metrics(score, ctr, click, click * truth)
    clicked = click > 0
    assert found["everywhere"] == pytest.approx(roc_auc_score(truth, score), abs=0.01)
    unclicked = roc_auc_score(truth[~clicked], score[~clicked])
    assert found["unclicked"] == pytest.approx(unclicked, abs=0.02)


@pytest.mark.parametrize("click", [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
def test_judges_without_both_classes_are_undefined(click):
    found = score_metrics(np.array([0.1, 0.2]), np.array([0.5, 0.5]), np.array(click), np.zeros(2))
    assert all(np.isnan(value) for value in found.values())


def test_recipes_share_data_order_and_tuning_point(tmp_path):
    cells = recipe_cells(tmp_path, list(RECIPES), [2000], "kuairand")
    assert {cell.variant for cell in cells} == set(RECIPES)
    assert {cell.config.training.seed for cell in cells} == {2000}
    assert {cell.config.optimizer["l2_rows"] for cell in cells} == {POINT["optimizer.l2_rows"]}


def test_summary_pairs_by_seed():
    rows = [
        {"recipe": name, "seed": seed, "judges": dict.fromkeys(JUDGES, value + seed / 100)}
        for name, value in (("all_negative", 0.7), ("soft", 0.71))
        for seed in (0, 1, 2)
    ]
    summary = {entry["recipe"]: entry for entry in summarise(rows)}
    assert summary["all_negative"]["clicked"]["difference"] is None
    assert summary["soft"]["clicked"]["difference"]["mean"] == pytest.approx(0.01)
    page = to_markdown("made", list(summary.values()), "the command")
    assert "(+0.0100)" in page
    assert "the command" in page


JUDGES = ("all_funnel", "clicked", "everywhere", "unclicked")
