"""A later day: new ids in the headroom, open attribution windows, a run that goes on."""

import json

import numpy as np
import pandas as pd
import pytest

from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.preparation.attribution_window import read_time
from pipelines.prepare import main, prepare
from pipelines.train import train

pytestmark = pytest.mark.job

HOUR = 3600
DAY = 24 * HOUR
QUIET = Console(quiet=True)
SCHEMA = {
    "name": "shop",
    "labels": {"click": "click", "conversion": "buy", "exposure_time": "time", "time_unit": "s"},
    "features": [
        {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary", "headroom": 3},
        {"name": "item", "dtype": "string", "side": "item", "kind": "vocabulary", "headroom": 50,
         "min_count": 2},
        {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"},
    ],
    "embedding_width": 4,
}  # fmt: skip
CONFIG = {
    "method": "idefn",
    "model": {"kappa": 0.1, "transport": {"memory": 8, "capacity": 16, "steps": 20,
                                          "jit_compile": False}},
    "backbone": {"name": "mlp", "units": [8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.01},
    "training": {"batch_size": 64, "epochs": 1, "jit_compile": False, "audit": False},
}  # fmt: skip


def made(rows, users, items, start, seed=0):
    """Exposures spread evenly over one day from `start`."""
    rng = np.random.default_rng(seed)
    click = (rng.random(rows) < 0.5).astype(int)
    return pd.DataFrame(
        {
            "time": start + np.arange(rows) * DAY // rows,
            "user": rng.choice(users, rows),
            "item": rng.choice(items, rows),
            "price": rng.normal(5, 2, rows),
            "click": click,
            "buy": click * (rng.random(rows) < 0.4),
        }
    )


def schema_with(**labels):
    return Schema.parse({**SCHEMA, "labels": {**SCHEMA["labels"], **labels}})


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """Two prepared days: the second knows three users and two items more, and drops some."""
    folder = tmp_path_factory.mktemp("days")
    made(800, [1, 2, 3, 4], ["a", "b"], 0).to_csv(folder / "one.csv", index=False)
    later = made(800, [3, 4, 5, 6, 7, 8, 9], ["b", "c", "d"], DAY, seed=1)
    # 8 comes most often, then 9, 7, 6, 5: the order in which they take the three places
    fresh = [8] * 90 + [9] * 80 + [7] * 70 + [6] * 60 + [5] * 50
    later.loc[: len(fresh) - 1, "user"] = fresh
    later.loc[len(fresh) :, "user"] = 3
    later.loc[0, "item"] = "rare"  # once only: below min_count
    later.to_csv(folder / "two.csv", index=False)
    one = prepare("table", folder / "one.csv", folder / "day1", schema=schema_with())
    two = prepare("table", folder / "two.csv", folder / "day2", base=one.root)
    return one, two


def test_new_ids_enter_the_headroom_behind_the_old_ones(days):
    one, two = days
    before, after = (read_vocabularies(d.vocabularies) for d in (one, two))
    known = len(before["user"]["values"])
    assert after["user"]["values"][:known] == before["user"]["values"]
    assert after["user"]["values"][known:] == [8, 9, 7]
    assert after["user"]["capacity"] == known + 3
    assert set(after["item"]["values"][2:]) == {"c", "d"}
    assert after["price"] == before["price"]
    assert two.card["extended"]["user"] == {"new": 3, "places_left": 0}
    assert two.card["extended"]["item"] == {"new": 2, "places_left": 48}
    assert "extended" not in one.card


def test_a_third_day_goes_on_from_the_second(days, tmp_path):
    _, two = days
    made(600, [1, 2, 30], ["z"], 2 * DAY).to_csv(tmp_path / "three.csv", index=False)
    three = prepare("table", tmp_path / "three.csv", tmp_path / "day3", base=two.root)
    vocabulary = read_vocabularies(three.vocabularies)
    assert vocabulary["user"] == read_vocabularies(two.vocabularies)["user"]  # no place left
    assert vocabulary["item"]["values"][-1] == "z"
    assert vocabulary["item"]["capacity"] == 52


@pytest.fixture(scope="module")
def runs(days, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    config = Config.parse(CONFIG)
    first = train(config, days[0].root, folder / "first", QUIET, evaluate=False)
    slow = Config.parse({**CONFIG, "optimizer": {**CONFIG["optimizer"], "learning_rate": 1e-30}})
    still = train(slow, days[1].root, folder / "still", QUIET, base=first.root, evaluate=False)
    return first, still


def row_of(model, name, value):
    kind = object if name == "item" else np.int64
    raw = {"user": np.array([1]), "item": np.array(["a"], object), "price": np.array([0.0])}
    raw[name] = np.array([value], kind)
    encoded = model.features.encode({k: np.asarray(v) for k, v in raw.items()})
    at = [f.name for f in model.features.fields if not f.numeric].index(name)
    return int(encoded["rows"]["4"][0, at])


def test_a_run_from_another_begins_with_its_model_and_old_ids_keep_their_rows(days, runs):
    first, still = (run.load_model() for run in runs)
    for user in read_vocabularies(days[0].vocabularies)["user"]["values"]:
        assert row_of(first, "user", user) == row_of(still, "user", user)
    unknown = row_of(first, "user", 8)
    fresh = [row_of(still, "user", user) for user in (8, 9, 7)]
    assert len({unknown, *fresh}) == 4
    assert row_of(still, "user", 6) == unknown  # no place was left for it
    # nothing moved at this learning rate, so all weights are still the first run's
    assert len(first.trainable_variables) == len(still.trainable_variables)
    for a, b in zip(first.trainable_variables, still.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)
    assert int(still.optimizer.iterations.numpy()) > int(first.optimizer.iterations.numpy())
    assert float(still.optimizer.learning_rate.numpy()) == pytest.approx(1e-30)
    assert np.any(first.rpot.bank.born.numpy() >= 0)
    origin = json.loads((runs[1].root / "from.json").read_text())
    assert origin["run"] == str(runs[0].root.resolve())


def test_the_new_rows_learn(days, runs, tmp_path):
    config = Config.parse(CONFIG)
    run = train(config, days[1].root, tmp_path / "second", QUIET, base=runs[0].root, evaluate=False)
    table = {n: r.load_model().features.tables["4"].numpy() for n, r in
             (("before", runs[0]), ("after", run))}  # fmt: skip
    model = run.load_model()
    new, free = row_of(model, "user", 8), model.features.row_range("item")[2] - 1
    assert np.abs(table["after"][new] - table["before"][new]).max() > 1e-3
    np.testing.assert_array_equal(table["after"][free], table["before"][free])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "all_negative", "model": {}}, "another method, model"),
        ({"backbone": {"name": "mlp", "units": [9]}}, "another backbone"),
        ({"optimizer": {"name": "adam"}}, "optimizer.name"),
    ],
)
def test_another_model_cannot_go_on(days, runs, tmp_path, change, message):
    config = Config.parse({**CONFIG, **change})
    with pytest.raises(ValueError, match=message):
        train(config, days[1].root, tmp_path / "out", QUIET, base=runs[0].root)


def test_data_that_do_not_continue_are_refused(days, runs, tmp_path):
    raw = days[0].root.parent / "two.csv"
    alone = prepare("table", raw, tmp_path / "alone", schema=schema_with())
    with pytest.raises(ValueError, match="does not continue"):
        train(Config.parse(CONFIG), alone.root, tmp_path / "out", QUIET, base=runs[0].root)
    with pytest.raises(ValueError, match="another schema"):
        prepare("table", raw, tmp_path / "x", schema=schema_with(time_unit="ms"), base=alone.root)


# -- open windows ---------------------------------------------------------------------------------


def hand_made(tmp_path):
    """Ten exposures, one an hour; the log ends with the last at 09:00."""
    frame = pd.DataFrame(
        {
            "time": np.arange(10) * HOUR,
            "user": np.arange(10),
            "item": ["a"] * 10,
            "price": 1.0,
            "click": [0, 1] * 5,
            "buy": [0, 1, 0, 0, 0, 1, 0, 1, 0, 0],
        }
    )
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False)
    return path


def rows_of(prepared):
    frames = [prepared.table(part).to_pandas() for part in prepared.parts]
    return pd.concat(frames).sort_values("row_id").set_index("exposure_time")


def test_rows_with_an_open_window_are_left_out_whatever_became_of_them(tmp_path):
    schema = schema_with(attribution_window_hours=2)
    found = prepare("table", hand_made(tmp_path), tmp_path / "out", schema=schema)
    # closed: exposure + 2 h <= 09:00, so 00:00 to 07:00; 08:00 and 09:00 are open
    assert list(rows_of(found).index) == [h * HOUR for h in range(8)]
    assert found.card["immature"] == {
        "window_hours": 2.0, "from": "exposure", "as_of": 9 * HOUR, "rows": 2, "treatment": "drop"
    }  # fmt: skip
    assert any("2 of 10 rows" in note for note in found.card["checks"]["notes"])


def test_a_later_count_of_conversions_closes_windows(tmp_path):
    schema = schema_with(attribution_window_hours=2)
    raw = hand_made(tmp_path)
    found = prepare("table", raw, tmp_path / "out", schema=schema, as_of=10 * HOUR)
    assert list(rows_of(found).index) == [h * HOUR for h in range(9)]
    found = prepare("table", raw, tmp_path / "earlier", schema=schema, as_of=8 * HOUR)
    assert list(rows_of(found).index) == [h * HOUR for h in range(7)]
    assert found.card["immature"]["rows"] == 2  # 07:00 and 08:00; 09:00 had not been shown
    with pytest.raises(ValueError, match="window of every row is still open"):
        prepare("table", raw, tmp_path / "x", schema=schema_with(attribution_window_hours=24))


def test_weighted_rows_count_by_the_elapsed_share_and_the_batches_carry_it(tmp_path):
    from idefn_tf.data import open_dataset

    schema = schema_with(attribution_window_hours=4, immature="weight")
    found = prepare("table", hand_made(tmp_path), tmp_path / "out", schema=schema)
    weights = rows_of(found)["sample_weight"]
    assert len(weights) == 10
    np.testing.assert_allclose(weights, [1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])
    dealt = [
        batch[2].numpy()
        for part in found.parts
        for batch in open_dataset(found.schema, found.files(part))
    ]
    np.testing.assert_allclose(np.sort(np.concatenate(dealt)), np.sort(weights))


def test_a_window_needs_a_time():
    labels = {"click": "click", "conversion": "buy", "attribution_window_hours": 2}
    with pytest.raises(ValueError, match="needs exposure_time"):
        Schema.parse({**SCHEMA, "labels": labels})


def test_the_command_line_continues_a_day(days, tmp_path, capsys):
    raw = days[0].root.parent / "two.csv"
    arguments = ["table", "--raw", str(raw), "--base", str(days[0].root)]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert read_vocabularies(tmp_path / "out" / "vocabularies") == read_vocabularies(
        days[1].vocabularies
    )
    assert main([*arguments, "--out", str(tmp_path / "x"), "--as-of", "soon"]) == 2
    assert "--as-of" in capsys.readouterr().err
    assert read_time("1970-01-02", "s") == DAY
    assert read_time("1970-01-01T01:00:00+01:00", "ms") == 0
    assert Run(tmp_path / "none").load_state() is None
