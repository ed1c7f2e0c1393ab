"""Deltas of hours: with their base they are the state bit by bit, and as large as what changed."""

import json
import shutil

import numpy as np
import pytest

from idefn_tf._files import write_json
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.stream import stream
from pipelines.streaming.arrivals import arrivals
from pipelines.streaming.growth import GROWTH, VOCABULARIES, WAITING, Growth
from pipelines.streaming.hours import Hours
from pipelines.streaming.learner import Learner
from pipelines.streaming.replay import Replay
from pipelines.streaming.row_delta import RowDelta, nbytes
from pipelines.streaming.stream_log import StreamLog
from tests.pipelines.streaming.test_landing import SCHEMA
from tests.pipelines.streaming.test_replay import CONFIG, prepared

pytestmark = pytest.mark.job
WAITS = {**CONFIG, "feedback": {"name": "fnw"}}


def schema_of(headroom):
    """The schema of a shop whose user table has so many places left."""
    user = SCHEMA.features[0].model_copy(update={"headroom": headroom})
    return SCHEMA.model_copy(update={"features": (user, *SCHEMA.features[1:])})


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return StreamLog.of(prepared(tmp_path_factory.mktemp("log"), 1, 77, schema_of(100)))


def learner_of(log, headroom):
    schema = schema_of(headroom)
    growth = Growth.begin(schema, log.take(np.arange(300)))
    learner = Learner(Config.parse(WAITS), schema, growth.learned)
    learner.was_saved()
    return learner


def rows_of(learner, log, users, count=64):
    """Arrivals of exposures of some users."""
    every = arrivals(log.times, learner.rule)
    some = np.flatnonzero(np.isin(log.arrays["user"][every.row], users))[:count]
    return type(every)(**{name: values[some] for name, values in vars(every).items()})


def in_rows(delta):
    return {place: rows.tolist() for place, (rows, _) in delta.rows.items()}


def test_a_delta_is_as_large_as_the_rows_that_were_read(log):
    """Row 0, one row an item and a user: not a row for what the table has beside them."""
    sizes = {}
    for headroom in (50, 50_000):
        for users in ((1,), (1, 2, 3)):
            learner = learner_of(log, headroom)
            learner.train(log, rows_of(learner, log, users))
            delta = learner.changes(0)
            sizes[headroom, len(users)] = delta.nbytes
            (table, _), (state, _) = sorted(delta.rows.values(), key=lambda pair: pair[1].shape[1])
            assert table.tolist() == state.tolist()
            assert len(table) == len(users) + 1  # and the one item
    assert sizes[50, 1] == sizes[50_000, 1]
    assert sizes[50, 3] == sizes[50_000, 3]
    # two rows more, of 4 weights, 2 x 4 moments, a step, a rate and twice their number
    assert sizes[50, 3] - sizes[50, 1] == 2 * 4 * (4 + 8 + 2 + 2)
    assert nbytes(learner.state(0)) > 50_000 * 4 * (4 + 8 + 2)


def test_rows_that_were_scored_alone_are_in_the_delta(log):
    """Scoring brings them up to date; an hour without arrivals saves these and no others."""
    learner = learner_of(log, 50)
    learner.train(log, rows_of(learner, log, (1, 2)))
    learner.train(log, rows_of(learner, log, (3,)))
    before = learner.state(0)
    learner.was_saved()
    learner.score(log, np.flatnonzero(log.arrays["user"] == 2)[:5])
    delta, values = learner.changes(1), [np.array(value) for value in before.values]
    assert len(next(iter(delta.rows.values()))[0]) == 2
    pairs = zip(before.values, learner.state(0).values, strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)
    delta.apply(values)
    same_but_metrics(learner.state(0), values)


def same_but_metrics(state, values):
    for name, now, found in zip(state.names, state.values, values, strict=True):
        if not name.endswith(("counts", "sums")):
            np.testing.assert_array_equal(now, found, err_msg=name)


def test_base_and_deltas_are_the_live_state_bit_by_bit(log, tmp_path):
    """And a stream that is taken up from them goes on with the same numbers."""
    start = log.begins() + 12 * log.hour

    def begun(folder):
        replay = Replay(Config.parse(WAITS), log, start, Hours(folder), controls=True)
        replay.begin(lambda text: None)
        return replay

    one, bases = begun(tmp_path / "one"), []
    for hour in range(8):
        bases.append(one.run_hour()["saved"]["base"])
        for name, learner in one.learners.items():
            same_but_metrics(learner.state(0), one.hours.restored(name, hour).values)
        grown = one.hours.growth(log.schema, hour)
        assert (grown.learned, grown.waiting) == (one.growth.learned, one.growth.waiting)
        if hour == 4:
            shutil.copytree(tmp_path / "one", tmp_path / "other")
    assert 77 in grown.learned["user"]["values"]
    assert len(set(bases)) > 1
    assert any(base < hour for hour, base in enumerate(bases))
    other = begun(tmp_path / "other")
    for hour in range(5, 8):
        other.run_hour()
        for score, values in one.hours.scores(hour).items():
            np.testing.assert_array_equal(values, other.hours.scores(hour)[score])
    for name, learner in one.learners.items():
        same_but_metrics(learner.state(0), other.learners[name].state(0).values)


@pytest.fixture(scope="module")
def two_hours(tmp_path_factory):
    """A stream of two hours, both saved as deltas."""
    folder = tmp_path_factory.mktemp("two")
    data = prepared(folder, 1, schema=schema_of(400))
    go_on(folder / "run", data, 2)
    for hour in (0, 1):
        assert (folder / f"run/hours/{hour:06d}/method.delta.npz").is_file()
    return folder / "run", data


def go_on(out, data, hours):
    given = {"hours": hours, "pretrain_days": 0.5, "draw": False}
    stream(Config.parse(WAITS), data, out, Console(quiet=True), **given)
    return json.loads((out / "stream.json").read_text())["hours"]


@pytest.fixture
def streamed(two_hours, tmp_path):
    """A copy that may be damaged, and the log."""
    shutil.copytree(two_hours[0], tmp_path / "run")
    return tmp_path / "run", two_hours[1]


@pytest.mark.parametrize("name", ["method.delta.npz", "grown.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_lost_delta_is_named_with_what_helps(streamed, name, damage):
    out, data = streamed
    place = out / "hours/000001"
    path = place / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError) as told:
        go_on(out, data, 3)
    assert str(path) in str(told.value)
    assert f"delete {place} and all later hours: the stream goes on with hour 1" in str(told.value)
    shutil.rmtree(place)
    assert len(go_on(out, data, 2)) == 2


def test_the_delta_of_another_hour_is_refused(streamed):
    out, data = streamed
    RowDelta(17, 3, {}, {}).save(out / "hours/000001/method.delta.npz")
    with pytest.raises(ValueError, match=r"must hold in .* received those of hour 17 to 3;\ndel"):
        go_on(out, data, 3)


def test_a_stream_of_an_earlier_release_goes_on(streamed, two_hours, tmp_path):
    """It kept whole states, a file a vocabulary, and said nothing of how an hour was saved."""
    out, data = streamed
    hours = Hours(out / "hours")
    for hour in (-1, 1):
        place, growth = hours.place(hour), hours.growth(data.schema, hour)
        hours.restored("method", hour).save(place / "method.npz")
        for name, found in growth.learned.items():
            write_json(place / VOCABULARIES / f"{name}.json", found)
        waiting = {name: [*map(list, seen.items())] for name, seen in growth.waiting.items()}
        write_json(place / WAITING, waiting)
        (place / GROWTH).unlink(missing_ok=True)
    for hour in (-1, 0, 1):
        place = hours.place(hour)
        told = {k: v for k, v in hours.told(place).items() if k != "saved"}
        write_json(place / "hour.json", told)
        for late in ("method.delta.npz", "grown.json"):
            (place / late).unlink(missing_ok=True)
    shutil.copytree(two_hours[0], tmp_path / "other")
    expected, found = go_on(tmp_path / "other", data, 4), go_on(out, data, 4)
    assert [hour["metrics"] for hour in found] == [hour["metrics"] for hour in expected]
    assert found[2]["saved"]["base"] == 2
    assert found[3]["saved"]["base"] == 2


def test_states_before_the_last_base_but_one_are_removed(tmp_path, log):
    start = log.begins() + 8 * log.hour
    replay = Replay(Config.parse(WAITS), log, start, Hours(tmp_path), controls=False)
    replay.begin(lambda text: None)
    bases = [replay.run_hour()["saved"]["base"] for _ in range(9)]
    last = bases[-1]
    kept = bases[last - 1]
    assert kept > 0
    for hour in range(9):
        names = {path.name for path in replay.hours.place(hour).iterdir()}
        assert {"hour.json", "scores.parquet"} <= names
        assert (len(names) == 2) == (hour < kept)
