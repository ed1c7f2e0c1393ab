"""Callbacks: selection that cannot leak, history that is whole, numbers that stop a run."""

import csv

import keras
import pytest

from idefn_tf.callbacks import HistoryCSV, SelectBest, StopOnNonFinite, read_history


class Stub(keras.Model):
    """A model that remembers whether it was stopped."""


def feed(callback, values, name="val_all_funnel/cvr_auc"):
    model = Stub()
    model.stop_training = False
    callback.set_model(model)
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            return epoch
    return None


@pytest.mark.parametrize("space", ["all_raw", "unclicked_raw", "oracle"])
def test_selection_refuses_the_spaces_of_reports(space):
    with pytest.raises(ValueError, match=r"all_funnel.*clicked"):
        SelectBest(space)


def test_it_stops_after_patience_epochs_without_a_better_value():
    select = SelectBest(patience=2)
    assert feed(select, [0.5, 0.6, 0.55, 0.59, 0.7]) == 3
    assert (select.best, select.best_epoch) == (0.6, 1)


@pytest.mark.parametrize("patience", [0, 1, 2, 3])
def test_patience_is_counted_as_keras_counts_it(patience):
    values = [0.5, 0.6, 0.55, 0.59, 0.58, 0.7, 0.2, 0.3, 0.1, 0.4, 0.45]
    name = "val_all_funnel/cvr_auc"
    theirs = keras.callbacks.EarlyStopping(name, patience=patience, mode="max")
    theirs.set_model(Stub())
    theirs.model.stop_training = False
    theirs.on_train_begin()
    stopped = []
    for epoch, value in enumerate(values):
        theirs.on_epoch_end(epoch, {name: value})
        if theirs.model.stop_training:
            stopped.append(epoch)
    assert feed(SelectBest(patience=patience), values) == stopped[0]


def test_a_loss_is_better_when_it_is_smaller():
    select = SelectBest("clicked", "cvr_logloss", patience=1)
    assert feed(select, [0.5, 0.4, 0.45], "val_clicked/cvr_logloss") == 2
    assert select.best_epoch == 1


def test_the_best_pcoc_is_the_one_nearest_to_one():
    select = SelectBest("clicked", "cvr_pcoc", patience=5)
    feed(select, [3.0, 0.5, 1.25, 0.7, 1.9], "val_clicked/cvr_pcoc")
    assert select.best_epoch == 2
    assert select.best == pytest.approx(-0.2231435513)  # -ln 1.25
    select = SelectBest("clicked", "cvr_pcoc", patience=5)
    feed(select, [float("inf"), 0.0, 40.0], "val_clicked/cvr_pcoc")  # no conversion; no score
    assert select.best_epoch == 2


def test_selection_and_patience_begin_once_the_method_acts():
    """Epochs 0 to 3 train as another method: the best of them is not this method's best."""
    select = SelectBest(patience=2)
    model = Stub()
    model.stop_training = False
    select.set_model(model)
    for epoch, value in enumerate([0.8, 0.5, 0.5, 0.5, 0.6, 0.7, 0.65]):
        model.warming_up = epoch < 4
        select.on_epoch_end(epoch, {"val_all_funnel/cvr_auc": value})
        assert not model.stop_training
        assert select.warming_up is (epoch < 4)
        select.restore(select.state())  # a resumed run goes on alike
    assert (select.best, select.best_epoch, select.wait) == (0.7, 5, 1)


def test_a_run_that_never_leaves_its_warm_up_keeps_the_best_there_is():
    select = SelectBest(patience=0)
    model = Stub()
    model.stop_training, model.warming_up = False, True
    select.set_model(model)
    for epoch, value in enumerate([0.5, 0.6, 0.55]):
        select.on_epoch_end(epoch, {"val_all_funnel/cvr_auc": value})
    assert (select.best_epoch, model.stop_training, select.warming_up) == (1, False, True)


def test_an_undefined_first_value_does_not_stop_or_stick():
    select = SelectBest(patience=5)
    assert feed(select, [float("nan"), float("nan"), 0.6]) is None
    assert select.best_epoch == 2


def test_a_metric_that_fit_does_not_report_is_named():
    with pytest.raises(ValueError, match=r"val_all_funnel/cvr_auk.*not among"):
        feed(SelectBest(metric="cvr_auk"), [0.5])


def test_a_restored_selection_goes_on_where_it_was():
    first = SelectBest(patience=2)
    feed(first, [0.5, 0.6, 0.55])
    second = SelectBest(patience=2)
    second.restore(first.state())
    assert feed(second, [0.58]) == 0


def test_a_loss_that_is_no_number_stops_the_run_and_is_named():
    with pytest.raises(FloatingPointError, match=r"received nan in epoch 4 \(cvr_loss\); lower"):
        StopOnNonFinite().on_epoch_end(3, {"cvr_loss": float("nan"), "ctr_loss": 1.0})
    StopOnNonFinite().on_epoch_end(0, {"loss": 1.0, "all_funnel/cvr_logloss": float("nan")})


def test_history_is_one_row_an_epoch_also_when_taken_up_again(tmp_path):
    path = tmp_path / "history.csv"
    first = HistoryCSV(path)
    for epoch in range(3):
        first.on_epoch_end(epoch, {"loss": epoch})
    again = HistoryCSV(path, epochs=2)
    again.on_epoch_end(2, {"loss": 9.0, "new": 1.0})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == [0.0, 1.0, 9.0]
    assert rows[0]["new"] == ""
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_history_that_counted_from_zero_is_read_and_gone_on_from_one(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n0,0.5\n1,0.25\n", encoding="utf-8")
    assert [row["epoch"] for row in read_history(path)] == [1, 2]
    HistoryCSV(path, epochs=2).on_epoch_end(2, {"loss": 0.125})
    rows = read_history(path)
    assert [(row["epoch"], row["loss"]) for row in rows] == [(1, "0.5"), (2, "0.25"), (3, "0.125")]


def test_a_patience_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"^patience: must be 0 or more, received -1$"):
        SelectBest(patience=-1)
