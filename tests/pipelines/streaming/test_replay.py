"""Controls and batches of a stream that can be told by hand."""

import json

import numpy as np
import pytest

from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.prepare import prepare
from pipelines.stream import main, stream
from pipelines.streaming.arrivals import Rule, arrivals
from pipelines.streaming.growth import Growth
from pipelines.streaming.hours import Hours
from pipelines.streaming.learner import Learner, check_config
from pipelines.streaming.replay import Replay, notes
from pipelines.streaming.stream_log import StreamLog
from tests.pipelines.streaming.test_landing import SCHEMA, exposure, table

pytestmark = pytest.mark.job
CONFIG = {
    "method": "click_only", "backbone": {"name": "mlp", "units": [4]},
    "training": {"batch_size": 64, "epochs": 1, "jit_compile": False, "audit": False},
}  # fmt: skip


def prepared(folder, delay, fresh=None, schema=SCHEMA):
    """Exposures for a day, fifty an hour; each second one is clicked, each sixth converts."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(1200):
        at, user = i / 50, int(rng.integers(1, 9))
        if fresh is not None and i >= 600 and i % 10 == 1:
            user = fresh
        clicked, bought = at if i % 2 else None, at + delay if i % 6 == 1 else None
        rows.append(exposure(f"p{i}", at, clicked, bought, user))
    table(*rows).to_csv(folder / "log.csv", index=False)
    return prepare("table", folder / "log.csv", folder / "data", schema=schema)


def test_without_delays_the_method_is_the_oracle_bit_by_bit(tmp_path):
    window = SCHEMA.labels.attribution.model_copy(update={"window_hours": 6.0})
    labels = SCHEMA.labels.model_copy(update={"attribution": window})
    schema = SCHEMA.model_copy(update={"labels": labels})
    data, out = prepared(tmp_path, 0, schema=schema), tmp_path / "run"
    stream(Config.parse(CONFIG), data, out, Console(quiet=True), hours=3, controls=True, draw=False)
    found = json.loads((out / "stream.json").read_text())
    for hour in found["hours"]:
        assert hour["trained"]["method"] == {"first": 50, "late": 0, "revisit": 0}
        assert hour["metrics"]["method"] == hour["metrics"]["oracle"]
    last = found["hours"][-1]["metrics"]
    assert last["method"] != last["pretrained"]
    assert set(found["ri"]["mean"]["method"]["clicked"].values()) <= {1.0, None}
    assert found["begins"] == "2023-11-15T10:00:00+00:00"  # half of the log's hours
    assert not (out / "stream.html").exists()
    assert (found["label"], found["undecided_clicks"]) == ("final", 0)  # all windows are closed


def test_a_new_id_is_read_from_the_hour_on_in_which_it_came(tmp_path):
    """User 77 comes five times an hour: it leaves the row of unknown ids, and its own learns."""
    log = StreamLog.of(prepared(tmp_path, 0, fresh=77))
    start = log.begins() + 12 * log.hour
    replay = Replay(Config.parse(CONFIG), log, start, Hours(tmp_path / "hours"), False)
    replay.begin(lambda text: None)
    learner = replay.learners["method"]

    def rows(users):
        raw = {"user": np.array(users), "item": np.array(["a"] * len(users), object)}
        return learner.encoder.encode(raw)["rows"]["4"].numpy()[:, 0].tolist()

    known, new, unknown = rows([1, 77, 999])
    assert new == unknown != known
    said = replay.run_hour()["vocabularies"]["user"]
    assert said == {"new": 1, "places_left": 1, "no_place": 0}
    found = rows([1, 77, 999])
    assert found[0] == known
    assert found[2] == unknown != found[1]
    values = learner.model.features.tables["4"].numpy()
    replay.run_hour()
    moved = np.abs(learner.model.features.tables["4"].numpy() - values).max(1)
    assert moved[found[1]] > 1e-4 > moved[unknown]


def test_a_batch_holds_what_arrived_and_rows_without_weight(tmp_path):
    """An hour of 50 first rows, and the 8 conversions of clicks of the hour before."""
    log = StreamLog.of(prepared(tmp_path, 1))
    config = Config.parse({**CONFIG, "feedback": {"name": "fnw"}})
    learner = Learner(config, log.schema, Growth.begin(log.schema, log.arrays).learned)
    every = arrivals(log.times, learner.rule)
    start = log.begins() + 5 * log.hour
    some = every.part(every.before(start), every.before(start + log.hour))
    assert some.count() == {"first": 50, "late": 8, "revisit": 0}
    ((_, labels, weight),) = learner._batches(log, some, streamed=True)
    assert weight.shape == (64,)
    assert weight.numpy().tolist() == [1.0] * 58 + [0.0] * 6
    told = {name: values.numpy()[:58] for name, values in labels.items()}
    late = told["arrival"] == 1
    assert late.sum() == told["conversion"].sum() == told["conversion"][late].sum() == 8
    np.testing.assert_allclose(told["conversion_delay"][late] * 24, 1, atol=1e-2)
    assert told["click"].sum() == 25 + 8
    assert told["conversion_final"].sum() == 8 + 8  # 8 clicks of this hour will convert
    assert learner.rule == Rule((0, 1))


def test_what_a_stream_does_not_learn_is_said():
    said = {name: notes(Config.parse({**CONFIG, "feedback": {"name": name}})) for name in
            ("es_dfm", "defuse", "trace", "dfm", "fnw")}  # fmt: skip
    assert "es_dfm learns its heads in pretraining alone" in said["es_dfm"][0]
    assert "defuse learns" in said["defuse"][0]
    assert "trace learns" in said["trace"][0]
    assert said["dfm"] == said["fnw"] == []


def test_a_stream_on_several_devices_is_refused():
    training = {"strategy": "mirrored", "batch_size": 64}
    told = r"^training\.strategy: must be none in a stream, received 'mirrored';\nset training\.str"
    with pytest.raises(ValueError, match=told):
        check_config(Config.parse({"method": "esmm", "training": training}))


def test_a_name_that_is_no_likelihood_is_refused_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(json.dumps(CONFIG))
    given = ["--config", tmp_path / "config.yaml", "--data", tmp_path, "--out", tmp_path / "run"]
    assert main([*map(str, given), "--feedback", "fwn"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "feedback: must be one of ['defer', 'defuse', 'dfm'," in said
    assert "received 'fwn'; did you mean 'fnw'?" in said
    assert not (tmp_path / "run" / "hours").exists()


def test_a_duplicate_is_no_further_exposure_to_vocabularies(tmp_path):
    """A late row of a user whose one exposure waits for a second one lets it in no sooner."""
    twice = SCHEMA.features[0].model_copy(update={"min_count": 2})
    schema = SCHEMA.model_copy(update={"features": (twice, *SCHEMA.features[1:])})
    rows = [exposure(f"p{i}", i / 50, i / 50, None, 1) for i in range(1200)]
    rows[650]["user"], rows[660]["user"] = 77, 88
    rows[650] |= {"buy": 1, "bought": rows[650]["clicked"] + 60}
    rows[670]["user"] = 88
    table(*rows).to_csv(tmp_path / "log.csv", index=False)
    data = prepare("table", tmp_path / "log.csv", tmp_path / "data", schema=schema)
    log = StreamLog.of(data)
    config = Config.parse({**CONFIG, "feedback": {"name": "fnw"}})
    replay = Replay(config, log, log.begins() + 13 * log.hour, Hours(tmp_path / "hours"), False)
    replay.begin(lambda text: None)
    told = replay.run_hour()
    assert told["trained"]["method"] == {"first": 50, "late": 1, "revisit": 0}
    assert replay.growth.learned["user"]["values"] == [1, 88]
    assert replay.growth.waiting["user"] == {77: 1}
