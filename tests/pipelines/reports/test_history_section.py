"""The report of a run with history: coverage, AUC by past events, permutation importance."""

import json

import numpy as np
import pyarrow as pa
import pytest

from idefn_tf.data import open_dataset, to_arrays
from idefn_tf.metrics import exact_metrics
from pipelines.experiment.run_folder import Run
from pipelines.reports import permutation_importance
from pipelines.reports.material import Material, RunMaterial
from pipelines.reports.page import page as whole_page
from pipelines.reports.permutation_importance import SEEDS, groups, measure, sample
from pipelines.reports.rows import Rows
from pipelines.reports.sections import history_section, importance, slices

pytestmark = pytest.mark.job

PART = {"without_history": 0.25, "events_per_row": [0.0, 4.0, 9.5]}
CARD = {
    "events": 200,
    "events_without_time": 0,
    "conversion": "after_click",
    "refresh": "daily",
    "keys": {"user": {"parts": {"train": PART, "test": PART}, "open_conversions": 0.125,
                      "hidden_by_lag_and_refresh": 0.5}},
    "sequences": {"clicks": {"events": 90, "parts": {"test": PART}, "longer_than_length": 0.375}},
}  # fmt: skip


@pytest.fixture(scope="module")
def found(past, tmp_path_factory):
    model = past.train()
    run = Run.open(past.write_run(tmp_path_factory.mktemp("runs") / "past", model))
    card = json.loads(run.card_path.read_text()) | {"history": CARD}
    run.card_path.write_text(json.dumps(card))
    frame = past.make_frame()
    table = pa.Table.from_pandas(frame)
    columns = {n: frame[n].to_numpy(np.float64) for n in ("click", "conversion")}
    rows = Rows("test", table, columns, np.ones(len(frame)), frame["user"].to_numpy())
    return Material(RunMaterial("esmm", run, rows, True, 0, model), [], None, "test")


def html(section, read_page):
    return read_page(whole_page("t", [], [section], "now"))


def test_coverage_is_the_cards_and_has_a_legend(found, read_page):
    shown = html(history_section.section(found), read_page)
    assert shown.cells["history/events of user/train/without"][0] == 0.25
    text = shown.text["history"]
    for words in ("200 past exposures, refresh daily", "9.5", "50.0%", "12.5%", "37.5%",
                  "Hidden: share of events", "PCOC: predicted over observed"):  # fmt: skip
        assert words in text


def test_auc_and_pcoc_by_history_section_are_those_of_the_rows(found, past, read_page):
    shown = html(history_section.section(found), read_page)
    frame = past.make_frame()
    counts = frame["user__exposure_count__2d"].to_numpy()  # the first count of the schema
    label = (frame["click"] * frame["conversion"]).to_numpy(float)
    score = found.main.scores["cvr"].astype(float)
    none = counts == 0
    assert shown.cells["history/none/rows"][0] == none.sum() > 5
    auc = exact_metrics.auc(label[none], score[none])
    assert shown.cells["history/none/cvr_auc"][0] == pytest.approx(auc)
    pcoc = score[none].sum() / label[none].sum()
    assert shown.cells["history/none/pcoc"][0] == pytest.approx(pcoc)
    rows = [v[0] for k, v in shown.cells.items() if k.endswith("/rows")]
    assert sum(rows) == len(frame)
    assert 6 < len(rows) <= 11


def test_bins_are_deciles_of_rows_with_history():
    values = np.array([0.0] * 5 + list(range(1, 101)))
    made = {words: int(mask.sum()) for words, mask in history_section.bins(values)}
    assert made["none"] == 5
    assert list(made)[1:3] == ["1 to 10", "11 to 20"]
    assert set(list(made.values())[1:]) == {10}
    assert {w: int(m.sum()) for w, m in history_section.bins(np.array([3.0, 3.0]))} == {"3": 2}
    assert [w for w, _ in history_section.bins(np.zeros(3))] == ["none"]


def test_groups_are_features_keys_and_sequences(past):
    made = groups(past.SCHEMA)
    pasts = ["history of user", "history of user x tag", "history of city", "sequence clicks"]
    assert list(made) == ["user", "city", "video", "tag", *pasts]
    assert len(made["history of user"]) == 8
    assert made["sequence clicks"] == ("clicks__video", "clicks__tag", "clicks__gap")


def test_the_drop_is_that_of_rows_whose_columns_moved_together(found, past):
    measured, rows = measure(found)
    frame = past.make_frame()
    assert rows == len(frame)
    drops = {m.group: m for m in measured}
    label = (frame["click"] * frame["conversion"]).to_numpy(float)
    whole = exact_metrics.auc(label, found.main.scores["cvr"].astype(float))
    for group, columns in (("sequence clicks", list(past.SCHEMA.sequences[0].names)),
                           ("history of user", None), ("video", ["video"])):  # fmt: skip
        columns = columns or [c for c in frame if c.startswith("user__")]
        lost = []
        for seed in range(SEEDS):
            order = np.random.default_rng([0, seed]).permutation(len(frame))
            other = frame.copy()
            for column in columns:
                other[column] = frame[column].to_numpy()[order]
            scores = found.main.model.predict(
                open_dataset(past.SCHEMA, other, batch_size=64), verbose=0
            )["cvr"]
            lost.append(whole - exact_metrics.auc(label, np.asarray(scores, float).reshape(-1)))
        assert drops[group].drop == pytest.approx(np.mean(lost), abs=1e-6)
        assert drops[group].spread == pytest.approx(np.std(lost), abs=1e-6)
        low, high = drops[group].bounds
        assert low <= drops[group].drop <= high
    assert [m.drop for m in measured] == sorted((m.drop for m in measured), reverse=True)
    assert max(m.drop for m in measured) > 0.005


def test_the_section_shows_every_group_with_interval_and_legend(found, read_page):
    shown = html(importance.section(found), read_page)
    assert "importance/sequence clicks" in shown.cells
    assert shown.figures[0]["id"] == "importance-drops"
    text = shown.text["importance"]
    assert "AUC drop: above 0" in text
    assert "200 rows" in text


def test_of_many_rows_all_positives_are_kept(monkeypatch):
    monkeypatch.setattr(permutation_importance, "MOST", 100)
    label = (np.arange(1000) % 40 == 0).astype(float)
    chosen = sample(label, 0)
    assert len(chosen) == 100
    assert label[chosen].sum() == 25
    assert len(set(chosen)) == 100
    many = sample(np.ones(1000) * (np.arange(1000) % 2), 0)
    assert (np.arange(1000)[many] % 2).sum() == 50


def test_a_run_without_history_has_no_such_section(found, past):
    plain = past.SCHEMA.model_copy(
        update={"history": None, "sequences": (), "features": past.SCHEMA.recorded}
    )
    main = RunMaterial("esmm", found.main.run, found.rows)
    main.schema = plain
    assert history_section.section(Material(main, [], None, "test")) is None
    assert set(groups(plain)) == {"user", "city", "video", "tag"}
    assert to_arrays(plain, found.rows.table, labels=False).keys() == groups(plain).keys()


def test_a_slice_of_rows_without_a_number_stands_apart(found, past, monkeypatch):
    monkeypatch.setattr(slices, "ROWS", 5)
    monkeypatch.setattr(slices, "POSITIVES", 1)
    name = "user__click_hours_since__all"
    made = {s.value: s for s in slices.find_slices(found) if s.feature == name}
    absent = past.make_frame()[name].isna().to_numpy()
    assert 5 < absent.sum() < len(absent) / 2
    np.testing.assert_array_equal(made["missing"].mask, absent)
    others = np.sum([s.mask for value, s in made.items() if value != "missing"], axis=0)
    np.testing.assert_array_equal(others, ~absent)
