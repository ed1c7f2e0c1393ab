"""Files that land: whole ones only, late rows in the hour of their arrival, conversions by key."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from idefn_tf.data import read_table
from idefn_tf.schema import Schema
from pipelines.prepare import prepare
from pipelines.streaming import landing as landings
from pipelines.streaming.arrivals import Rule, arrivals
from pipelines.streaming.landing import Landing, landed

ROOT = Path(__file__).parents[3]
HOUR = 3600
SCHEMA = Schema.parse(
    {
        "name": "shop",
        "labels": {
            "click": "click", "conversion": "buy", "exposure_time": "shown",
            "click_time": "clicked", "conversion_time": "bought", "time_unit": "s",
            "attribution": {"window_hours": 24, "from": "click"}, "immature": "keep",
        },
        "never_features": ["id"],
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary", "headroom": 2},
            {"name": "item", "dtype": "string", "side": "item", "kind": "vocabulary"},
        ],
    }
)  # fmt: skip
START = 1_700_000_000 // HOUR * HOUR


def exposure(name, hours, click=None, bought=None, user=1):
    """One row: shown `hours` after START, clicked and bought so many hours after it."""
    at = [START + int(h * HOUR) if h is not None else None for h in (hours, click, bought)]
    return {
        "id": name, "user": user, "item": "a", "shown": at[0], "clicked": at[1], "bought": at[2],
        "click": int(click is not None), "buy": int(bought is not None),
    }  # fmt: skip


def table(*rows):
    frame = pd.DataFrame(rows)
    return frame.astype({"shown": "Int64", "clicked": "Int64", "bought": "Int64"})


def read(*rows):
    return read_table(table(*rows), SCHEMA)


@pytest.fixture
def folder(tmp_path):
    """A folder whose looks need not be a second apart."""
    landing = Landing(tmp_path, "id")
    landing._looked = -np.inf

    def ready():
        landing._looked = -np.inf
        return landing.ready()

    return tmp_path, landing, ready


def test_a_file_is_taken_when_its_name_is_final_and_its_size_stands(folder):
    path, _, ready = folder
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.csv.tmp", "_d.csv", "notes.txt"):
        (path / name).write_text("id\n1\n")
    assert ready() == []
    assert ready() == ["a.csv", "b.csv"]
    (path / "b.csv").write_text("id\n1\n2\n")
    assert ready() == ["a.csv"]
    assert ready() == ["a.csv", "b.csv"]


def test_late_rows_count_from_the_hour_of_their_file():
    log = landed(SCHEMA, read(exposure("a", 1, 1, 3), exposure("b", 6, 6)), START + 5 * HOUR)
    found = arrivals(log.times, Rule((0, 1)))
    assert ((found.at - START) / HOUR).tolist() == [5, 5, 6]
    assert (found.row.tolist(), found.kind.tolist()) == ([0, 0, 1], [0, 1, 0])


def test_a_known_row_brings_its_conversion_once(folder):
    path, landing, _ = folder
    log = landed(SCHEMA, read(exposure("first", 0)), START)
    table(exposure("a", 1, 1), exposure("b", 1)).to_csv(path / "1.csv", index=False)
    log, counts = landing.take(log, ["1.csv"], START + HOUR)
    assert counts == {"rows": 2, "conversions": 0, "clicks_left_out": 0}
    rows = (exposure("a", 1, 1, 4), exposure("b", 1, 2), exposure("c", 4))
    for name in ("2.csv", "3.csv"):
        table(*rows).to_csv(path / name, index=False)
    log, counts = landing.take(log, ["2.csv"], START + 5 * HOUR)
    assert counts == {"rows": 1, "conversions": 1, "clicks_left_out": 1}
    again, counts = landing.take(log, ["3.csv"], START + 6 * HOUR)
    assert counts == {"rows": 0, "conversions": 0, "clicks_left_out": 1}
    found = arrivals(again.times, Rule((0, 1)))
    assert list(zip(((found.at - START) / HOUR).tolist(), found.row, found.kind, strict=True)) == [
        (0, 0, 0), (1, 1, 0), (1, 2, 0), (5, 3, 0), (5, 1, 1),
    ]  # fmt: skip
    assert found.delay[4] * 24 == pytest.approx(3)
    assert sorted(landing.fresh()) == ["1.csv", "2.csv", "3.csv"]
    assert landing.fresh() == {}


def test_files_that_do_not_fit_are_named(folder):
    path, landing, _ = folder
    log = landed(SCHEMA, read(exposure("first", 0)), START)
    table(exposure("a", 1), exposure("a", 2)).to_csv(path / "twice.csv", index=False)
    with pytest.raises(ValueError, match=r"--key: .*received 'a' twice.*twice\.csv"):
        landing.take(log, ["twice.csv"], START)
    table(exposure("a", 1), exposure("b", 2)).to_csv(path / "twice.csv", index=False)
    assert landing.take(log, ["twice.csv"], START)[1]["rows"] == 2
    table(exposure("z", 1)).drop(columns="user").to_csv(path / "short.csv", index=False)
    with pytest.raises(ValueError, match=r"user.*short\.csv"):
        landing.take(log, ["short.csv"], START)
    with pytest.raises(ValueError, match=r"--follow: .* must be as it was.*7 bytes"):
        landing.again(log, {"short.csv": 7}, START)
    with pytest.raises(ValueError, match="--follow: must be a folder"):
        Landing(path / "none")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("bought", START + HOUR - 1, "'bought' must not lie before clicked, received"),
        ("clicked", START - 1, "'clicked' must not lie before shown, received"),
        ("shown", 1000 * START, "'shown' must hold s since 1970, received"),
        ("bought", None, "'bought' must hold a time where there is a conversion, received None"),
    ],
)
def test_times_that_no_funnel_has_are_refused_with_file_row_and_cure(folder, column, value, said):
    path, landing, _ = folder
    log = landed(SCHEMA, read(exposure("first", 0)), START)
    rows = exposure("a", 0, 0.5), exposure("b", 0, 1, 2)
    rows[1][column] = value
    table(*rows).to_parquet(path / "odd.parquet")
    with pytest.raises(ValueError, match=rf"{said}.* in row 1; .+ \(.*odd\.parquet\)"):
        landing.take(log, ["odd.parquet"], START)
    assert not landing.taken
    table(rows[0]).to_parquet(path / "odd.parquet")  # put right, it is taken
    assert landing.take(log, ["odd.parquet"], START)[1]["rows"] == 1


def write(folder, name, *rows):
    """As a careful writer does: another name first."""
    table(*rows).to_parquet(folder / f".{name}")
    (folder / f".{name}").rename(folder / name)


def start(starter, folder):
    arguments = {
        "--config": folder / "config.yaml", "--data": folder / "data", "--out": folder / "run",
        "--feedback": "fnw", "--follow": folder / "landing", "--key": "id",
    }  # fmt: skip
    return starter.Popen(
        [sys.executable, "-m", "pipelines.stream", *(str(a) for p in arguments.items() for a in p)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process, path):
    end = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.job
def test_a_stream_follows_a_folder_and_goes_on_after_a_kill(tmp_path, warm_processes):
    """Hour 1 gets a late row and a late conversion; a kill in hour 2 loses and repeats nothing."""
    rng = np.random.default_rng(0)
    past = [
        exposure(f"p{i}", i / 50, i / 50 if i % 2 else None, i / 50 + 1 if i % 6 == 1 else None,
                 int(rng.integers(1, 9)))
        for i in range(1200)
    ]  # fmt: skip
    table(*past).to_csv(tmp_path / "log.csv", index=False)
    prepare("table", tmp_path / "log.csv", tmp_path / "data", schema=SCHEMA)
    config = {
        "method": "click_only", "backbone": {"name": "mlp", "units": [4]},
        "training": {"batch_size": 64, "epochs": 1, "jit_compile": False, "audit": False},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    files, hours = tmp_path / "landing", tmp_path / "run/hours"
    files.mkdir()
    write(files, "0.parquet", exposure("a", 24.1, 24.2), exposure("b", 24.5, user=77),
          exposure("c", 25.5, user=77))  # fmt: skip
    process = start(warm_processes, tmp_path)
    wait_for(process, hours / "000000")
    write(files, "1.parquet", exposure("a", 24.1, 24.2, 24.7), exposure("late", 24.9, 24.9),
          exposure("d", 26.5))  # fmt: skip
    wait_for(process, hours / "000001")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = start(warm_processes, tmp_path)
    write(files, "2.parquet", exposure("e", 27.5))
    wait_for(process, hours / "000002")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 143, said
    assert "goes on with hour 2" in said
    told = [json.loads((hours / f"00000{i}/hour.json").read_text()) for i in range(3)]
    assert [list(hour["files"]) for hour in told] == [["0.parquet"], ["1.parquet"], ["2.parquet"]]
    assert [hour["exposures"] for hour in told] == [2, 2, 1]  # a b; c late; d
    counts = [(h["trained"]["method"]["first"], h["trained"]["method"]["late"]) for h in told]
    assert counts == [(2, 8), (2, 1), (1, 0)]  # 8 of the last hour of the log convert
    assert told[0]["vocabularies"]["user"] == {"new": 1, "places_left": 1, "no_place": 0}
    found = json.loads((tmp_path / "run/stream.json").read_text())
    assert found["label"] == "what is known by now"
    assert found["hours"][0]["metrics"]["method"]["clicked"]["conversions"] == 1
    assert landings._STEADY == 1.0
