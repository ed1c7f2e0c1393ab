"""Delays planted into the made KuaiRand tables: the law, and that preparation reads them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.feedback.planted_delays import LIKE_TIME, main
from idefn_tf.schema import Schema
from pipelines.datasets.registry import prepare

MADE = Path(__file__).parents[2] / "data" / "kuairand_made"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    out = tmp_path_factory.mktemp("planted") / "raw"
    words = ["--raw", str(MADE), "--out", str(out), "--days", "2", "--window-hours", "240"]
    assert main(words) == 0
    return out


def rows_of(folder):
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("log_*.parquet"))])


def test_likes_of_clicked_rows_come_late_by_their_authors_scale(planted):
    rows = rows_of(planted)
    videos = pd.read_csv(planted / "video_features_basic_pure.csv")
    scales = pd.read_parquet(planted / "authors.parquet").set_index("author_id")["scale"]
    assert len(scales) == videos["author_id"].nunique()
    liked = rows[rows["is_like"] == 1]
    assert rows.loc[rows["is_like"] == 0, LIKE_TIME].isna().all()
    delay = (liked[LIKE_TIME] - liked["time_ms"]) / 86_400_000
    assert (delay[liked["is_click"] == 0] == 0).all()
    author = liked["video_id"].map(videos.set_index("video_id")["author_id"])
    unit = (delay / author.map(scales).fillna(1.0))[liked["is_click"] == 1]
    assert len(unit) > 20
    assert unit.mean() == pytest.approx(2.0, abs=4 * 2 / np.sqrt(len(unit)))
    said = json.loads((planted / "planted.json").read_text())
    assert said["likes_after_a_click"] == len(unit)
    assert said["of_these_after_the_window"] == (delay > 10).sum()


@pytest.mark.job
def test_preparation_reads_the_times(planted, tmp_path):
    schema = Schema.load(planted / "schema.yaml")
    rows = rows_of(planted)
    as_of = int(rows["time_ms"].max())
    out = prepare("kuairand_pure", planted, tmp_path / "out", schema=schema, as_of=as_of)
    found = pd.concat([out.table(part).to_pandas() for part in ("train", "validation")])
    known = found["conversion"].sum()
    assert 0 < known < found["conversion_final"].sum()
    assert found["conversion_delay"].notna().sum() == known
    assert (
        out.card["immature"]["late_conversions"]
        == json.loads((planted / "planted.json").read_text())["of_these_after_the_window"]
    )
