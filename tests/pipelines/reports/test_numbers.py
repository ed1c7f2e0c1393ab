"""The numbers behind the report: intervals, bins, gains, axes, slices, plans, by other means."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.metrics import exact_metrics
from pipelines.preparation.prepared_folder import Prepared
from pipelines.reports import intervals, material, style
from pipelines.reports.sections import gain, loss_rows, reliability, transport_plan
from pipelines.reports.sections.embedding import _nearness, principal_axes
from pipelines.reports.sections.slices import find_slices
from pipelines.reports.train_batch import draw_batch

pytestmark = pytest.mark.job


@pytest.mark.parametrize("seed", range(5))
def test_a_draws_auc_and_ks_are_the_exact_ones(seed):
    rng = np.random.default_rng(seed)
    label = (rng.random(300) < 0.2).astype(float)
    score = np.round(rng.random(300), 1 + seed % 3)  # ties
    weight = rng.integers(0, 4, 300).astype(float)
    auc, ks = intervals.Ranked(label, score).auc_ks(weight)
    assert auc == pytest.approx(exact_metrics.auc(label, score, weight), abs=1e-12)
    assert ks == pytest.approx(exact_metrics.ks(label, score, weight), abs=1e-12)


def test_bootstrap_intervals_match_theory_where_rows_are_independent():
    rng = np.random.default_rng(0)
    n = 4000
    label = (rng.random(n) < 0.3).astype(float)
    score = np.full(n, 0.3)
    scores = {"ctr": score, "cvr": score, "ctcvr": score}
    columns = {"click": np.ones(n), "conversion": label}
    draws = intervals.bootstrap(scores, columns, np.ones(n), None, replicates=400)
    low, high = intervals.interval(draws["clicked", "cvr_pcoc"])
    rate = label.mean()
    spread = 1.96 * np.sqrt((1 - rate) / rate / n) * 0.3 / rate
    assert (high - low) / 2 == pytest.approx(spread, rel=0.12)
    assert low < 0.3 / rate < high
    assert intervals.interval(draws["clicked", "cvr_auc"]) == (0.5, 0.5)


def test_intervals_are_over_items_too_where_they_are_told():
    rng = np.random.default_rng(2)
    users, items = rng.integers(0, 200, 4000), rng.integers(0, 40, 4000)
    label = (rng.random(4000) < 0.1 + 0.5 * rng.random(40)[items]).astype(float)  # items differ
    score = np.full(4000, 0.3)
    scores = {"ctr": score, "cvr": score, "ctcvr": score}
    columns = {"click": np.ones(4000), "conversion": label}
    widths = []
    for known in (None, items):
        draws = intervals.bootstrap(scores, columns, np.ones(4000), users, items=known)
        assert draws["clicked", "cvr_pcoc"].shape == (1 if known is None else 3, 200)
        low, high = intervals.interval(draws["clicked", "cvr_pcoc"])
        widths.append(high - low)
    # the mean of 40 items' rates: theory says 1.96 * 2 * sd of rates / sqrt(40), relative
    rates = np.array([label[items == i].mean() for i in range(40)])
    theory = 2 * 1.96 * rates.std() / np.sqrt(40) / label.mean() * (0.3 / label.mean())
    assert widths[1] == pytest.approx(theory, rel=0.25)
    assert widths[0] < 0.6 * widths[1]


def test_a_reports_rows_say_what_their_intervals_draw(gathered):
    assert gathered.rows.unit == "users (user_id), of items (item_id) and of their pairs"
    assert len(gathered.rows.items) == len(gathered.rows.users)


def test_intervals_hold_the_runs_own_numbers(gathered, runs, metrics_of):
    for space, values in metrics_of(runs["idefn"])["test"].items():
        for metric in ("cvr_auc", "cvr_logloss", "cvr_ks"):
            bounds = gathered.main.interval(space, metric)
            assert (bounds is None) == (values[metric] is None)
            if bounds is not None:
                assert bounds[0] <= values[metric] <= bounds[1]
                assert bounds[1] - bounds[0] < 0.5
    assert values["cvr_auc"] is not None  # the oracle's, the last space


def test_reliability_bins_hold_equal_mass_and_the_means():
    score = np.repeat([0.1, 0.2, 0.4, 0.8], 25)
    label = np.tile([1, 0, 0, 0, 0], 20).astype(float)
    bins = reliability.reliability(score, label, np.ones(100), bins=4)
    assert [b.predicted for b in bins] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert [b.observed for b in bins] == pytest.approx([0.2] * 4)
    assert [b.rows for b in bins] == [25] * 4
    assert all(b.low < 0.2 < b.high for b in bins)


def test_gain_by_hand():
    score = np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    label = np.array([1, 0, 1, 0, 0])
    found = gain.gain(score, label, np.ones(5), [0.2, 0.4, 0.6, 0.8, 1.0])
    assert found == pytest.approx([0.5, 0.5, 0.75, 1.0, 1.0])


def test_principal_axes_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    z = np.random.default_rng(0).normal(size=(200, 6)) * [5, 3, 1, 1, 1, 1]
    points, shares = principal_axes(z)
    other = PCA(2).fit(z)
    assert np.abs(points) == pytest.approx(np.abs(other.transform(z)), abs=1e-8)
    assert shares == pytest.approx(other.explained_variance_ratio_)


@pytest.mark.parametrize(
    ("share", "said"), [(0.99, "too"), (0.8, "most, not all"), (0.3, "only part of nearness")]
)
def test_what_the_map_says_of_nearness_follows_its_share(share, said):
    assert said in _nearness(share)
    assert ("part" in _nearness(share)) == (share < 0.5)


def test_slices_are_large_enough_and_their_auc_is_exact(gathered):
    found = list(find_slices(gathered))
    assert found
    rows = gathered.rows
    label = rows.columns["click"] * rows.columns["conversion"]
    for one in found:
        assert one.positives >= 20
        assert one.auc == pytest.approx(
            exact_metrics.auc(label[one.mask], gathered.main.scores["cvr"][one.mask])
        )
    names = {feature.name for feature in gathered.main.schema.features}
    assert {one.feature for one in found} <= names
    assert len({(one.feature, one.value) for one in found}) == len(found)


def test_losses_reach_the_rows_that_the_formulas_name(gathered, runs, data):
    idefn = draw_batch(gathered)
    model = gathered.main.model
    terms, kinds = loss_rows.feeds(model, idefn), loss_rows.row_kinds(idefn)
    assert set(terms) == {
        ("ctr_loss", "ctr"), ("cvr_clicked_loss", "cvr"), ("cvr_unclicked_loss", "cvr"),
    }  # fmt: skip
    unclicked = terms["cvr_unclicked_loss", "cvr"]
    assert (unclicked[kinds["unclicked, relabelled"]] < 0).all()
    assert (unclicked[kinds["unclicked, not relabelled"]] > 0).all()
    assert (unclicked[idefn.click > 0.5] == 0).all()
    clicked = terms["cvr_clicked_loss", "cvr"]
    assert (clicked[kinds["clicked, converted"]] < 0).all()
    assert (clicked[idefn.click < 0.5] == 0).all()
    other = material.gather(runs["esmm"], Prepared.open(data.root), [])
    batch = draw_batch(other)
    both = loss_rows.feeds(other.main.model, batch)
    assert set(both) == {("ctr_loss", "ctr"), ("ctcvr_loss", "ctr"), ("ctcvr_loss", "cvr")}
    assert (both["ctcvr_loss", "cvr"][batch.click < 0.5] > 0).all()


def test_the_shown_part_of_the_plan_is_the_plans(gathered):
    batch = draw_batch(gathered)
    shown = transport_plan.best_part(batch)
    whole = np.asarray(batch.matches.plan.real_rows)
    column = np.asarray(batch.matches.plan.problem.column_mass)
    assert (batch.conversion[shown.positives] == 1).all()
    assert (batch.click[shown.unclicked] == 0).all()
    order = {int(at): i for i, at in enumerate(np.asarray(batch.matches.rows))}
    for i, positive in enumerate(shown.positives):
        for j, at in enumerate(shown.unclicked):
            expected = whole[order[int(positive)], at] / column[at]
            assert shown.share[i, j] == pytest.approx(expected)
    assert (shown.best == shown.share.argmax(axis=0)).all()
    assert batch.relabelled[shown.unclicked].all()


def test_a_batch_is_judged_as_training_deals_it(gathered):
    batch = draw_batch(gathered)
    assert len(batch) == 512
    assert batch.relabelled.sum() == tf.reduce_sum(batch.matches.pseudo_positives)


def test_colours_stand_out_from_white():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    def contrast(colour):
        return 1.05 / (luminance(colour) + 0.05)

    assert all(contrast(colour) >= 3 for colour in style.PALETTE)
    assert all(contrast(colour) >= 4.5 for colour in (style.INK, style.MUTED))
    lights = [luminance(colour) for colour in style.RAMP]
    assert lights == sorted(lights, reverse=True)
    assert len(style.PALETTE) == len(style.DASHES) == len(style.MARKERS)
