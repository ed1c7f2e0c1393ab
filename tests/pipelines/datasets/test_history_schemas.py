"""Shipped schemas with history: they are those without it plus history, and prepare."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from idefn_tf.data import read_table
from idefn_tf.schema import Schema
from pipelines.datasets.registry import prepare
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.datasets.simulated_funnel.simulated_funnel import simulate

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "schemas"
MADE = ROOT / "tests" / "data" / "kuairand_made"
WITH_HISTORY = sorted(
    path.stem for path in SCHEMAS.glob("*.yaml") if Schema.load(path).generated
)  # fmt: skip


def shipped(name):
    return Schema.load(SCHEMAS / f"{name}.yaml")


def rows_of(prepared, part):
    files = prepared.files(part)
    return read_table(files, prepared.schema).to_pandas()


def test_there_is_one_for_every_data_set_with_times():
    assert WITH_HISTORY == [
        "kuairand_pure_derived", "kuairand_pure_history", "simulated_funnel_delay_history",
        "simulated_funnel_history",
    ]  # fmt: skip


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_it_is_the_schema_without_history_plus_history(name):
    schema = shipped(name)
    plain = shipped("simulated_funnel_delay" if schema.labels.delayed else schema.name)
    assert schema.recorded == plain.features
    assert schema.never_features == plain.never_features
    zone = {"time_zone": schema.labels.time_zone}
    assert schema.labels == plain.labels.model_copy(update=zone)


@pytest.mark.job
def test_kuairand_looks_back_on_its_own_rows(tmp_path):
    schema = shipped("kuairand_pure_history")
    made = prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema)
    days = made.card["splits"]["train"]
    plain = prepare("kuairand_pure", MADE, tmp_path / "plain")
    assert days["rows"] < plain.card["splits"]["train"]["rows"]
    assert made.card["splits"]["test"] == plain.card["splits"]["test"]
    test = rows_of(made, "test")
    assert test["user_id__exposure_count__all"].max() > 1
    assert set(schema.generated) <= set(test.columns)
    authors = test["clicks__author_id"].map(len)
    assert (authors == test["clicks__video_id"].map(len)).all()
    assert authors.max() > 1


@pytest.mark.job
def test_kuairand_looks_back_on_a_stream_without_times(tmp_path):
    schema = shipped("kuairand_pure_derived")
    alone = schema.history.model_copy(update={"log_rows": False})  # the stream, nothing else
    schema = schema.model_copy(update={"history": alone})
    videos = pd.read_csv(MADE / "video_features_basic_pure.csv")
    users = pd.read_csv(MADE / "user_features_pure.csv")["user_id"]
    known = videos.dropna(subset=["author_id"])
    video = known["video_id"].to_numpy()[np.arange(120) % len(known)]
    stream = pd.DataFrame({"user_id": np.repeat(users.to_numpy()[:2], 60), "video_id": video,
                           "long_view": 1, "is_like": [1, 0, 0] * 40})  # fmt: skip
    stream.to_parquet(tmp_path / "stream.parquet")
    made = prepare("kuairand_pure", MADE, tmp_path / "out", schema=schema,
                   events=[str(tmp_path / "stream.parquet")])  # fmt: skip
    assert "counts are cut" in made.card["history"]["notes"][0]
    test = pd.concat([rows_of(made, part) for part in made.parts])
    # hashed or not, the first user's own rows hold the newest fifty views, oldest first
    own = test[test["user_id__exposure_count__all"] == 60]
    assert len(own) > 0
    likes = own["user_id__conversion_count__all"].unique()
    assert likes.tolist() == [20.0]
    for _, row in own.iterrows():
        first = 0 if row["user_id"] == users[0] else 60
        assert row["views__video_id"].tolist() == video[first : first + 60][-50:].tolist()
        author = known.set_index("video_id")["author_id"]
        assert row["views__author_id"].tolist() == author[row["views__video_id"]].tolist()
    others = test[~test["user_id"].isin(users[:2])]
    assert (others["user_id__exposure_count__all"] == 0).all()
    assert others["views__video_id"].map(len).max() == 0


@pytest.mark.job
@pytest.mark.slow
def test_history_finds_the_leanings_of_simulated_users(tmp_path):
    """At least two fifths of what lies between the features' AUC and the oracle's; none without."""
    gains = {}
    for taste in (0.0, 4.0):
        raw = tmp_path / f"raw{taste}"
        options = {"exposures": 60_000, "preset": "easy", "users": 800, "items": 300}
        simulate(raw, Options(seed=3, taste=taste, **options))
        made = prepare("simulated_funnel", raw, tmp_path / f"out{taste}",
                       schema=shipped("simulated_funnel_history"))  # fmt: skip
        train, test = (rows_of(made, part) for part in ("train", "test"))
        oracle = made.report_table("test").to_pandas()
        truth = roc_auc_score(oracle["oracle_conversion"], oracle["oracle_probability"])
        history = sorted(made.schema.generated & set(train.select_dtypes("number")))
        assert len(history) == 19
        plain, rich = (
            roc_auc_score(oracle["oracle_conversion"], scores(train, test, more))
            for more in ([], history)
        )
        gains[taste] = (rich - plain) / (truth - plain)
    assert gains[4.0] > 0.4
    assert gains[0.0] < 0.1


def scores(train, test, history):
    """Conversion after a click by gradient boosting over side features, without ids."""

    def features(rows):
        plain = rows[["user_age", "user_region", "item_price"]].astype(float)
        texts = {name: pd.factorize(rows[name], sort=True)[0]
                 for name in ("user_segment", "item_category")}  # fmt: skip
        return plain.assign(**texts).join(rows[history])

    model = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.07, min_samples_leaf=80, random_state=0
    )
    model.fit(features(train), train["click"] * train["conversion"])
    return model.predict_proba(features(test))[:, 1]
