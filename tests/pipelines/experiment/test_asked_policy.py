"""A policy as the job is asked for it: a model's scores, days, candidates, what is refused."""

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from idefn_tf.data import read_table
from idefn_tf.evaluation import snips, top_share_weights
from idefn_tf.export.run_files import read_vocabularies
from pipelines import evaluate
from pipelines.datasets.registry import prepare
from pipelines.experiment.asked_policy import Policy, parse_policy, policy_values, with_probability
from pipelines.experiment.build import build_model
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict

pytestmark = pytest.mark.job


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("policy")


@pytest.fixture(scope="module")
def data(folder, simulated):
    return simulated(folder, 6000)


@pytest.fixture(scope="module")
def model(data):
    """Scores by its initial weights: what a policy ranks by need not be good."""
    keras.utils.set_random_seed(0)
    config = Config.parse({"method": "all_negative", "backbone": {"name": "mlp", "units": [8]}})
    return build_model(config, data.schema, read_vocabularies(data.vocabularies))


@pytest.fixture(scope="module")
def log(data):
    """Every exposure, and a log of them that shows clicked ones a quarter as often."""
    whole = pa.concat_tables([data.table(part) for part in data.parts])
    probability = np.where(whole["click"].to_numpy() == 1, 0.2, 0.8)
    shown = np.random.default_rng(0).random(whole.num_rows) < probability
    whole = whole.append_column("shown_p", pa.array(probability))
    return whole, whole.filter(pa.array(shown))


def test_the_simulators_truth_is_found_by_a_log_that_shows_some_of_it(data, model, log):
    whole, seen = log
    score = np.ravel(predict(model, data.schema, whole)["ctcvr"])
    day = whole["exposure_time"].to_numpy() // 86_400_000
    top = top_share_weights(score, 0.3, np.ones(len(score)), day) > 0
    truth = whole["click"].to_numpy()[top].mean()
    schema = with_probability(data.schema, "shown_p")
    found = policy_values(model, schema, seen, seen, Policy("top", 0.3))["click"]
    assert found.intervals["ips"] == found.intervals["snips"]
    low, high = found.intervals["snips"]
    assert low < truth < high
    assert high - low < 0.15
    assert found.logged < 0.7 * truth  # what the log's own mean says
    assert found.ips == pytest.approx(found.snips)
    assert found.mean_weight == pytest.approx(1.0)
    assert found.doubly_robust is None
    # by hand: days of the log, pairs that a row stands for
    own = np.ravel(predict(model, data.schema, seen)["ctcvr"])
    weight = top_share_weights(
        own, 0.3, seen["shown_p"].to_numpy(), seen["exposure_time"].to_numpy() // 86_400_000
    )
    assert found.snips == pytest.approx(snips(seen["click"].to_numpy(), weight))


def test_unclicked_rows_of_a_thinned_log_count_for_those_left_out(data, model, log):
    """The top tenth of the kept rows would be a much smaller share of the log."""
    whole, _ = log
    kept = (whole["click"].to_numpy() == 1) | (np.random.default_rng(1).random(len(whole)) < 0.2)
    labels = data.schema.labels.model_copy(update={"negative_keep_rate": 0.2})
    schema = with_probability(data.schema.model_copy(update={"labels": labels}), "1.0")
    rows = whole.filter(pa.array(kept))
    found = policy_values(model, schema, rows, rows, Policy("top", 0.1))["click"]
    assert found.mean_weight == pytest.approx(1.0)
    assert found.ips == pytest.approx(found.snips)
    score = np.ravel(predict(model, schema, rows)["ctcvr"])
    day = rows["exposure_time"].to_numpy() // 86_400_000
    click = rows["click"].to_numpy()
    counts = np.where(click == 1, 1, 5)
    score, day, click = (np.repeat(values, counts) for values in (score, day, click))
    weight = top_share_weights(score, 0.1, np.ones(len(score)), day)
    assert found.snips == pytest.approx(snips(click, weight))


def _candidates(data, whole, count):
    frame = whole.to_pandas().drop_duplicates("item_id").head(count)
    names = [n for f in data.schema.features if f.side == "item" for n in (f.name, f.weights_name)]
    return read_table(frame[[name for name in names if name in frame]])


def test_candidates_stand_in_every_rows_place(data, model, log):
    whole, _ = log
    items = _candidates(data, whole, 5)
    rows = whole.filter(pa.array(np.isin(whole["item_id"], items["item_id"]))).slice(0, 60)
    rows = pa.concat_tables([rows, whole.slice(0, 20)])  # some whose item is no candidate
    schema = with_probability(data.schema, "0.2")
    found = policy_values(model, schema, rows, rows, Policy("softmax", 0.01), items)
    frame, scores = rows.to_pandas(), {"ctr": [], "ctcvr": []}
    for i in range(5):
        placed = frame.copy()
        for name in items.column_names:
            placed[name] = [items[name][i].as_py()] * len(frame)
        told = predict(model, data.schema, read_table(placed))
        for head, values in scores.items():
            values.append(np.ravel(told[head]).astype(float))
    ctcvr, ctr = np.stack(scores["ctcvr"], 1), np.stack(scores["ctr"], 1)
    policy = np.exp(ctcvr / 0.01) / np.exp(ctcvr / 0.01).sum(1, keepdims=True)
    at = {item: i for i, item in enumerate(items["item_id"].to_pylist())}
    place = [at.get(item) for item in frame["item_id"]]
    target = np.array([0.0 if i is None else policy[row, i] for row, i in enumerate(place)])
    assert (target == 0).any()
    weight, click = target / 0.2, frame["click"].to_numpy()
    own = np.ravel(predict(model, data.schema, rows)["ctr"])
    assert found["click"].snips == pytest.approx(np.dot(weight, click) / weight.sum(), rel=1e-5)
    robust = ((policy * ctr).sum(1) + weight * (click - own)).mean()
    assert found["click"].doubly_robust == pytest.approx(robust, rel=1e-5)
    assert found["conversion"].intervals["doubly_robust"] is not None


@pytest.mark.parametrize(
    ("policy", "items", "said"),
    [
        (Policy("argmax"), 5, "effective sample size of .*, below 100"),
        (Policy("argmax"), None, "--candidates: must name a file of items for argmax"),
        (Policy("top", 0.5), 5, "--candidates: must stand beside softmax or argmax"),
    ],
)
def test_what_the_log_cannot_tell_is_refused(data, model, log, policy, items, said):
    whole, seen = log
    given = None if items is None else _candidates(data, whole, items)
    schema = with_probability(data.schema, "0.2")
    rows = seen.slice(0, 90)
    with pytest.raises(ValueError, match=said):
        policy_values(model, schema, rows, rows, policy, given)


def test_candidates_that_do_not_fit_are_refused(data, model, log):
    whole, seen = log
    items, schema = _candidates(data, whole, 3), with_probability(data.schema, "0.2")
    twice = pa.concat_tables([items, items.slice(0, 1)])
    with pytest.raises(ValueError, match="must hold each item_id once, received 4 rows of 3"):
        policy_values(model, schema, seen, seen, Policy("softmax", 1.0), twice)
    with pytest.raises(ValueError, match="--candidates: must hold at least one item, received no"):
        policy_values(model, schema, seen, seen, Policy("softmax", 1.0), items.slice(0, 0))
    frame = items.to_pandas().assign(item_id=[10**9, 10**9 + 1, 10**9 + 2])
    with pytest.raises(ValueError, match="received no item_id that was shown"):
        policy_values(model, schema, seen, seen, Policy("softmax", 1.0), read_table(frame))


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("top:0.1", Policy("top", 0.1)),
        ("top:1", Policy("top", 1.0)),
        ("softmax:0.05", Policy("softmax", 0.05)),
        ("argmax", Policy("argmax")),
    ],
)
def test_a_policy_is_read(text, policy):
    assert parse_policy(text) == policy
    assert parse_policy(policy.name) == policy


@pytest.mark.parametrize(
    "text", ["top", "top:0", "top:2", "top:x", "softmax:0", "softmax:-1", "softmax:inf", "best", ""]
)
def test_another_policy_is_refused(text):
    with pytest.raises(ValueError, match=r"--policy: must be top:Q with Q in \(0, 1\], softmax:T"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("given", "said"),
    [("0", r"in \(0, 1\], received 0"), ("1.5", "received 1.5"), ("nan", "received nan"),
     ("item_id", "must be no feature, received 'item_id'")],
)  # fmt: skip
def test_a_probability_that_is_none_is_refused(data, given, said):
    with pytest.raises(ValueError, match=said):
        with_probability(data.schema, given)
    assert with_probability(data.schema, None) == data.schema


def test_preparation_keeps_the_probability_for_reports_alone(data, folder, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    frame = pd.read_parquet(sorted((folder / "raw").glob("exposures-*.parquet")))
    rng = np.random.default_rng(0)
    frame = frame[["user_id", "item_id", "time_ms", "click", "conversion"]].head(3000)
    frame["shown_p"] = rng.uniform(0.1, 1.0, len(frame))
    frame.to_csv(raw / "log.csv", index=False)
    ids = {"dtype": "int64", "kind": "vocabulary"}
    schema = type(data.schema).parse(
        {
            "name": "shown",
            "labels": {"click": "click", "conversion": "conversion", "exposure_time": "time_ms",
                       "exposure_probability": "shown_p"},
            "user_key": "user_id",
            "features": [{"name": "user_id", "side": "user", **ids},
                         {"name": "item_id", "side": "item", **ids}],
        }
    )  # fmt: skip
    found = prepare("table", raw, tmp_path / "data", schema=schema)
    kept = np.concatenate([found.report_table(p)["exposure_probability"] for p in found.parts])
    assert np.sort(kept) == pytest.approx(np.sort(frame["shown_p"]), rel=1e-6)
    for part in found.parts:
        assert not {"shown_p", "exposure_probability"} & set(found.table(part).column_names)
    frame.loc[[5, 9], "shown_p"] = [0.0, 1.2]
    frame.to_csv(raw / "log.csv", index=False)
    with pytest.raises(ValueError, match="shown_p") as told:
        prepare("table", raw, tmp_path / "data", schema=schema)
    assert "a probability must be above 0 and at most 1" in str(told.value)
    assert "2 rows" in str(told.value)


def test_the_command_line_asks_for_both_together(capsys):
    words = ["--run", "nowhere", "--data", "nowhere", "--candidates", "items.csv"]
    assert evaluate.main(words) == 2
    assert "--candidates: must stand beside --policy" in capsys.readouterr().err
    assert evaluate.main([*words, "--policy", "best"]) == 2
    assert "--policy: must be top:Q" in capsys.readouterr().err
