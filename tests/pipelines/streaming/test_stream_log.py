"""Logs with history in a stream: what rows hold, which rows of tables events read, and the run."""

import json

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.data import read_table
from idefn_tf.history import attach
from idefn_tf.history.kept_history import PRIORS
from idefn_tf.optimizers import catch_up
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.evaluate import main as evaluate
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.prepare import prepare
from pipelines.stream import stream
from pipelines.streaming.arrivals import arrivals
from pipelines.streaming.growth import Growth
from pipelines.streaming.hours import Hours
from pipelines.streaming.landing import landed
from pipelines.streaming.learner import Learner
from pipelines.streaming.replay import Replay
from pipelines.streaming.stream_log import StreamLog, late_priors
from tests.pipelines.streaming.test_landing import HOUR, SCHEMA, START, exposure, table

pytestmark = pytest.mark.job
PLAIN = SCHEMA.model_dump(mode="json", by_alias=True, exclude_none=True)
PAST = Schema.parse(
    {
        **PLAIN,
        "features": [{**feature, "headroom": 1} for feature in PLAIN["features"]],
        "history": {
            "burn_in_days": 0,
            "aggregates": [
                {"key": "user", "events": ["click", "conversion"], "measures": ["count"]},
                {"key": "item", "events": ["click"], "measures": ["rate"]},
            ],
        },
        "sequences": [
            {"name": "clicks", "key": "user", "condition": "clicked", "items": ["item"],
             "length": 3, "gap_hours": [1, 3]},
        ],
    }
)  # fmt: skip
CONFIG = Config.parse(
    {
        "method": "click_only", "backbone": {"name": "mlp", "units": [4]},
        "encoder": {"name": "din"}, "feedback": {"name": "fnw"},
        "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.02, "l2_rows": 0.01},
        "training": {"batch_size": 64, "epochs": 1, "jit_compile": False, "audit": False},
    }
)  # fmt: skip
ITEMS = "abcdefgh"


def prepared(folder, rows, schema=PAST):
    table(*rows).to_csv(folder / "log.csv", index=False)
    return prepare("table", folder / "log.csv", folder / "data", schema=schema)


def shown(name, hours, item, click=None, bought=None, user=1):
    return {**exposure(name, hours, click, bought, user), "item": item}


def days_rows():
    """Exposures for a day, fifty an hour; each second one is clicked, each sixth converts."""
    rng, rows = np.random.default_rng(0), []
    for i in range(1200):
        at, user, item = i / 50, int(rng.integers(1, 9)), ITEMS[int(rng.integers(8))]
        if i >= 600 and i % 10 in (1, 3):
            item = "new" if i % 10 == 1 else "rare" if i % 50 == 3 else item
        clicked, bought = at if i % 2 else None, at + 0.5 if i % 6 == 1 else None
        rows.append(shown(f"p{i}", at, item, clicked, bought, user))
    return rows


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("day"), days_rows())


@pytest.fixture(scope="module")
def log(day):
    return StreamLog.of(day)


def test_a_row_holds_what_was_known_as_of_its_time(tmp_path):
    """No event; two; four of which three are kept; and a purchase that comes after the row."""
    rows = [
        shown("1", 0, "a", 0, 1.5), shown("2", 1, "b", 1), shown("3", 2, "c", 2),
        shown("4", 3, "d", 3), shown("5", 7, "e"), shown("6", 7.5, "a", user=2),
    ]  # fmt: skip
    found = StreamLog.of(prepared(tmp_path, rows)).arrays
    assert found["clicks__item"].tolist() == [
        [b"", b"", b""], [b"a", b"", b""], [b"a", b"b", b""], [b"a", b"b", b"c"],
        [b"b", b"c", b"d"], [b"", b"", b""],
    ]  # fmt: skip
    assert found["clicks__gap"][4].tolist() == [2, 2, 2]  # 6, 5 and 4 hours
    assert found["clicks__gap"][3].tolist() == [2, 1, 1]  # 3, 2 and 1
    assert found["user__click_count__all"].tolist() == [0, 1, 2, 3, 4, 0]
    assert found["user__conversion_count__all"].tolist() == [0, 0, 1, 1, 1, 0]  # at 1.5 h


def begun(log, rows=300):
    growth = Growth.begin(log.schema, log.take(np.arange(rows)))
    return Learner(CONFIG, log.schema, growth.learned), growth


def some_rows(learner, log, wanted, count=64):
    every = arrivals(log.times, learner.rule)
    some = np.flatnonzero(wanted[every.row])[:count]
    return type(every)(**{name: values[some] for name, values in vars(every).items()})


def test_events_are_brought_up_to_date_before_they_are_read(log):
    """Items that rows meet in their past alone decay while they wait, and are saved."""
    learner, _ = begun(log)
    clicks = log.arrays["clicks__item"]
    learner.train(log, some_rows(learner, log, log.arrays["item"] == b"b"))
    learner.was_saved()
    apart = (log.arrays["item"] == b"a") & ~np.isin(clicks, [b"b", b""]).any(1)
    for _ in range(5):
        learner.train(log, some_rows(learner, log, apart))
    asked = np.flatnonzero((clicks == b"b").any(1) & (log.arrays["item"] == b"a"))
    assert len(asked) == 37
    waited = learner.score(log, asked)["cvr"]
    raw = {name: log.take(asked)[name] for name in learner.encoder.raw_names}
    events = learner.encoder.encode(raw)["sequences"]["clicks"]["4"].numpy()[:, :, 0]
    (item_b,) = set(events[clicks[asked] == b"b"].tolist())
    changed = learner.changes(0).rows.values()
    assert all(item_b in rows for rows, _ in changed)
    catch_up(learner.model.optimizer)
    np.testing.assert_allclose(learner.score(log, asked)["cvr"], waited, rtol=1e-6)


def test_an_unknown_id_of_the_past_is_read_as_its_own_once_it_has_entered(log):
    learner, growth = begun(log)
    asked = log.take(np.arange(len(log)))

    def rows(item):
        raw = {name: asked[name] for name in learner.encoder.raw_names}
        found = learner.encoder.encode(raw)["sequences"]["clicks"]["4"].numpy()[:, :, 0]
        return {int(r) for r in found[asked["clicks__item"] == item]}

    (unknown,), (known,) = rows(b"new"), rows(b"a")
    assert unknown != known
    assert growth.take(log.take(np.arange(600, 700)))["item"]["new"] == 1
    learner.know(growth.learned)
    (entered,) = rows(b"new")
    assert entered not in (unknown, known)
    assert rows(b"a") == {known}


def test_hours_with_history_end_alike_however_often_they_stop(day, log, tmp_path):
    """Deltas give the state bit by bit; the saved model scores as the next hour of the stream."""
    start = log.begins() + 12 * log.hour
    whole = Replay(CONFIG, log, start, Hours(tmp_path / "whole"), False)
    whole.begin(lambda text: None)
    for _ in range(2):
        whole.run_hour()
    for hour in range(2):
        parts = Replay(CONFIG, log, start, Hours(tmp_path / "parts"), False)
        parts.begin(lambda text: None)
        assert parts.next_hour == hour
        parts.run_hour()
    one, two = (Hours(tmp_path / name).restored("method", 1) for name in ("whole", "parts"))
    for name, a, b in zip(one.names, one.values, two.values, strict=True):
        if not name.endswith(("counts", "sums")):
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_a_run_of_a_stream_with_history_is_a_run(day, log, tmp_path, capsys):
    """It keeps the priors of rates, scores alike, and evaluate reads it."""
    out = tmp_path / "run"
    stream(CONFIG, day, out, Console(), hours=2, draw=False)
    said = " ".join(capsys.readouterr().err.split())
    assert "rates of history are drawn to the share among the rows of 'train'" in said
    full = "the headroom of 'item' is full: 1 ids stay unknown from hour 0 on; give it more"
    assert said.count("the headroom of") == said.count(full) == 1
    assert f"{out} (stream.json, checkpoints/best.keras)" in said
    priors = json.loads((out / "vocabularies" / PRIORS).read_text())
    assert priors == json.loads((day.vocabularies / PRIORS).read_text())
    model = Run.open(out).load_model()
    replay = Replay(CONFIG, log, log.begins() + 12 * log.hour, Hours(out / "hours"), False)
    replay.begin(lambda text: None)
    rows = np.arange(14 * 50, 15 * 50)
    scores = replay.learners["method"].score(log, rows)
    features = {n: tf.constant(log.take(rows)[n]) for n in model.features.raw_names}
    found = model.predict(features, verbose=0)
    np.testing.assert_allclose(found["cvr"], scores["cvr"], rtol=1e-5)
    assert evaluate(["--run", str(out), "--data", str(day.root), "--quiet"]) == 0
    assert late_priors(day, int(log.times.shown.max()) + 1) is None
    # a calibrator of the model of before must not be exported with the next one
    calibrator, metrics = out / "calibration.json", out / "metrics.json"
    for hours, kept in ((2, True), (3, False)):
        for path in (calibrator, metrics):
            path.write_text("{}")
        capsys.readouterr()
        stream(CONFIG, day, out, Console(), hours=hours, draw=False)
        assert calibrator.exists() == metrics.exists() == kept
        said = " ".join(capsys.readouterr().err.split())
        assert ("calibration.json was of the model before these hours" in said) != kept


def test_rows_that_land_bring_what_was_known_as_of_their_time(log):
    """As a feature store wrote it; four events are one too many, and a row without is named."""
    came = [{**shown("z", 30, "a"), "clicks__item": list("abcd"), "clicks__gap": [2, 1, 0, 0],
             "user__click_count__all": 4.0, "user__conversion_count__all": 1.0,
             "item__click_rate__all": 0.5}]  # fmt: skip
    found = log.joined(landed(PAST, read_table(table(*came), PAST), START + 31 * HOUR))
    last = {name: values[-1] for name, values in found.arrays.items()}
    assert last["clicks__item"].tolist() == [b"b", b"c", b"d"]
    assert last["clicks__gap"].tolist() == [1, 0, 0]
    assert last["user__click_count__all"] == 4
    assert found.times.taken[-1] == START + 31 * HOUR
    learner, _ = begun(log)
    assert learner.score(found, np.array([len(found) - 1]))["cvr"].shape == (1,)
    without = read_table(table(shown("y", 30, "a")), PAST)
    with pytest.raises(ValueError, match=r"source: must hold the history features .* received no "):
        landed(PAST, without, START)


def test_a_stream_follows_files_whose_rows_hold_their_past(day, tmp_path):
    """`attach` tells the past of rows that land; the third ends the hour."""
    came = [shown("x", 24.1, "a", 24.1, user=99), shown("y", 24.3, "b", 24.3, 24.4, user=99),
            shown("z", 25.5, "c", user=99)]  # fmt: skip
    files = tmp_path / "landing"
    files.mkdir()
    made = attach(PAST, table(*came), table(*days_rows()), priors={"click": 0.5, "conversion": 0.2})
    assert made["clicks__item"].tolist() == [[], ["a"], ["a", "b"]]
    made.to_parquet(files / "late.parquet")
    out = tmp_path / "run"
    stream(CONFIG, day, out, Console(quiet=True), hours=1, follow=files, key="id", draw=False)
    (hour,) = json.loads((out / "stream.json").read_text())["hours"]
    assert (hour["exposures"], list(hour["files"])) == (2, ["late.parquet"])
    assert hour["trained"]["method"]["late"] == 1 + 4  # of y, and of the log's last half hour
    assert hour["metrics"]["method"]["clicked"]["rows"] == 2


LATER = {
    "times": ({"click_time": None, "attribution": None, "immature": "drop"}, None,
              r"must hold the times of .*received .*\['shown', 'bought'\];\nname labels\."),
    "weight": ({"immature": "weight"}, None,
               r"must be prepared with immature: keep or drop, received weight in .*;\nchange "),
    "as-of": ({}, START + 23 * HOUR + HOUR // 2,
              r"must hold all that the log says, received .*;\nprepare it without --as-of"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(LATER))
def test_a_log_that_hides_or_lacks_something_is_refused(tmp_path, case):
    labels, as_of, said = LATER[case]
    schema = Schema.parse({**PLAIN, "labels": {**PLAIN["labels"], **labels}})
    table(*days_rows()).to_csv(tmp_path / "log.csv", index=False)
    log = tmp_path / "log.csv"
    data = prepare("table", log, tmp_path / "data", schema=schema, as_of=as_of)
    with pytest.raises(ValueError, match=rf"^data: {said}"):
        StreamLog.of(data)


def test_a_stream_goes_on_with_its_own_log_alone(log, tmp_path):
    """Two rows of before the stream are gone: everything that came after would be off by two."""
    start, hours = log.begins() + 12 * log.hour, Hours(tmp_path / "hours")
    replay = Replay(CONFIG, log, start, hours, False)
    replay.begin(lambda text: None)
    replay.run_hour()
    other = Replay(CONFIG, log.part(np.arange(2, len(log))), start, hours, False)
    other.begin(lambda text: None)
    told = r"^data: must be the log .* received one with \d+ arrivals before hour 1 .*;\ngive that"
    with pytest.raises(ValueError, match=told):
        other.run_hour()
    assert hours.done() == [0]


@pytest.mark.parametrize(("start", "hours"), [("click", 5), ("exposure", 3), (None, None)])
def test_clicks_that_could_still_convert_at_the_logs_end_are_counted(tmp_path, start, hours):
    """At 10 h, the log's end, clicks of after 5 h in windows of five; a conversion is certain.

    Without a window a click of any age could.
    """
    window = {"attribution": start and {"window_hours": hours, "from": start}}
    schema = Schema.parse({**PLAIN, "labels": {**PLAIN["labels"], **window}})
    rows = [
        shown("1", 0, "a", 1), shown("2", 4, "a", 5), shown("3", 5, "a", 5.5), shown("4", 6, "a"),
        shown("5", 7, "a", 7.5), shown("6", 8, "a", 8, 9), shown("7", 9, "a", 10),
    ]  # fmt: skip
    log = StreamLog.of(prepared(tmp_path, rows, schema))
    assert log.as_of == START + 10 * HOUR
    counted = {"click": 3, "exposure": 1, None: 5}[start]  # of 3, 5 and 7; of 7; of all but 4, 6
    assert log.undecided(np.arange(7)) == counted
    assert log.undecided(np.arange(2)) == (2 if start is None else 0)
    assert log.undecided(np.array([6])) == 1
