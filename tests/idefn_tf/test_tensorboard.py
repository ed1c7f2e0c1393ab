"""What TensorBoard reads back: scalars by space, histograms on both sides, a profile on demand."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

from idefn_tf import MLP, FeatureColumns, IdeFN, RowSparseAdam, Schema, open_dataset
from idefn_tf.data import learn_vocabularies
from idefn_tf.tensorboard import TensorBoardTracking, tag

pytestmark = pytest.mark.job

pytest.importorskip("tensorboard")

SCHEMA = Schema.parse(
    {
        "name": "made",
        "labels": {"click": "click", "conversion": "conversion"},
        "embedding_width": 4,
        "features": [{"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
    }
)


def read(folder):
    """{tag: (kind, {step: value or histogram})} of one run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {
        name: {e.step: make_ndarray(e.tensor_proto) for e in events.Tensors(name)}
        for name in events.Tags()["tensors"]
    }


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    rng = np.random.default_rng(0)
    n = 600
    user = rng.integers(0, 30, n)
    click = (rng.random(n) < 0.4).astype(int)
    conversion = click * (rng.random(n) < 0.4).astype(int)
    rows = pd.DataFrame({"user": user, "click": click, "conversion": conversion})
    folder = tmp_path_factory.mktemp("tracked")
    features = FeatureColumns.from_schema(SCHEMA, learn_vocabularies(SCHEMA, rows))
    model = IdeFN(features, MLP((8,)), kappa=0.05)
    model.compile(RowSparseAdam(0.01), jit_compile=False)
    validation = open_dataset(SCHEMA, rows[400:], batch_size=50)
    history = model.fit(
        open_dataset(SCHEMA, rows[:400], batch_size=100, drop_remainder=True),
        validation_data=validation,
        epochs=2,
        verbose=0,
        callbacks=[TensorBoardTracking(folder, validation, profile=(2, 3))],
    )
    return folder, history.history, model, rows[400:]


def test_scalars_stand_under_their_space_in_the_run_of_their_part(tracked):
    folder, history, _, _ = tracked
    train, validation = read(folder / "train"), read(folder / "validation")
    for step in (0, 1):
        assert float(validation["all_funnel/cvr_auc"][step]) == pytest.approx(
            history["val_all_funnel/cvr_auc"][step]
        )
        assert float(train["clicked/cvr_logloss"][step]) == pytest.approx(
            history["clicked/cvr_logloss"][step]
        )
        assert float(train["loss/loss"][step]) == pytest.approx(history["loss"][step])
    assert "pseudo_labels/pseudo_positive_rate" in train
    assert "transport/transport_iterations" in train
    assert len({*train, *validation}) >= len({n.removeprefix("val_") for n in history})


def test_histograms_hold_the_predictions_of_both_sides(tracked):
    folder, _, model, rows = tracked
    found = read(folder / "validation")
    cvr = model.predict(open_dataset(SCHEMA, rows, batch_size=50), verbose=0)["cvr"]
    click = rows["click"].to_numpy()
    for side, chosen in (("clicked", click == 1), ("unclicked", click == 0)):
        buckets = found[f"cvr/{side}"][1]  # left edge, right edge, count
        assert set(found[f"cvr/{side}"]) == {0, 1}
        assert buckets[:, 2].sum() == chosen.sum()
        assert buckets[0, 0] == pytest.approx(cvr[chosen].min(), abs=1e-5)
        assert buckets[-1, 1] == pytest.approx(cvr[chosen].max(), abs=1e-5)


def test_a_profile_is_written_for_the_steps_asked_for(tracked):
    assert list((tracked[0] / "train" / "plugins" / "profile").rglob("*.xplane.pb"))


def test_a_histogram_of_no_row_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^histogram_rows: must be 1 or more, received 0$"):
        TensorBoardTracking(tmp_path, None, histogram_rows=0)


def test_only_so_many_rows_go_into_a_histogram(tracked, tmp_path):
    _, _, model, rows = tracked
    validation = open_dataset(SCHEMA, rows, batch_size=50)
    tracking = TensorBoardTracking(tmp_path, validation, histogram_rows=60)
    tracking.set_model(model)
    tracking.on_epoch_end(0, {})
    tracking.on_train_end()
    found = read(tmp_path / "validation")
    assert sum(found[f"cvr/{side}"][0][:, 2].sum() for side in ("clicked", "unclicked")) == 100


def test_groups_of_names():
    assert tag("all_funnel/cvr_auc") == "all_funnel/cvr_auc"
    assert tag("audit/precision") == "audit/precision"
    assert tag("cvr_clicked_loss") == "loss/cvr_clicked_loss"
    assert tag("mean_cvr_clicked") == "mean_cvr/mean_cvr_clicked"
    assert tag("surprise") == "other/surprise"


@pytest.mark.parametrize("profile", [(0, 3), (5, 4)])
def test_a_wrong_profile_is_refused(tmp_path, profile):
    with pytest.raises(ValueError, match="profile: must be two steps"):
        TensorBoardTracking(tmp_path, profile=profile)


def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'idefn-tf\[tuning\]'"):
        TensorBoardTracking(tmp_path)
