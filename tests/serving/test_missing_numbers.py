"""A missing number: one score behind every door, that of the mean or of `missing`."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.data import learn_vocabularies, open_dataset, read_table
from idefn_tf.export import export_model
from idefn_tf.export.scorer import Scorer
from idefn_tf.export.tf_examples import to_examples
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.schema import Schema
from serving.client import Client

NUMBERS = {"height": {}, "income": {"log1p": True}, "raw": {"standardize": False},
           "stars": {"missing": 4.5},
           "speed": {"kind": "bucketized", "boundaries": [-1.0, 2.0, 6.0]}}  # fmt: skip
SCHEMA = Schema.parse(
    {
        "name": "gaps",
        "labels": {"click": "click", "conversion": "buy"},
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            *({"name": name, "dtype": "float32", "side": "item", "kind": "numeric", **more}
              for name, more in NUMBERS.items()),
        ],
    }
)  # fmt: skip


def made(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"user": rng.integers(0, 9, rows)})
    for name in NUMBERS:
        values = rng.lognormal(1.0, 0.8, rows).astype(np.float32)
        frame[name] = np.where(rng.random(rows) < 0.2, np.nan, values).astype(np.float32)
    logit = frame["height"].fillna(0) - frame["stars"].fillna(9) / 3
    frame["click"] = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    frame["buy"] = frame["click"] * (rng.random(rows) < 0.5)
    return frame


@pytest.fixture(scope="module")
def learned():
    return learn_vocabularies(SCHEMA, made())


@pytest.fixture(scope="module")
def model(learned):
    features = FeatureColumns.from_schema(SCHEMA, learned, embedding_stddev=0.5)
    model = ESMM(features, MLP((8,)))
    model.compile("adam", jit_compile=False)
    model.fit(open_dataset(SCHEMA, made(), batch_size=100), epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def version(model, tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / "cvr"
    return export_model(model, SCHEMA, base, replay=made(50, seed=1))


def score(model, source):
    return model.predict(open_dataset(SCHEMA, source, labels=False), verbose=0)["cvr"]


def gaps():
    """One row a feature, with its number missing, and one with all numbers there."""
    frame = made(40, seed=3).dropna()[: len(NUMBERS) + 1].reset_index(drop=True)
    for row, name in enumerate(NUMBERS):
        frame.loc[row, name] = np.nan
    return frame.drop(columns=["click", "buy"])


def test_moments_are_of_the_values_that_are_there(learned):
    frame = made().astype(np.float64)
    assert learned["height"]["mean"] == pytest.approx(np.nanmean(frame["height"]))
    assert learned["income"]["mean"] == pytest.approx(np.nanmean(np.log1p(frame["income"])))
    assert learned["raw"]["mean"] == pytest.approx(np.nanmean(frame["raw"]))
    assert learned["stars"]["mean"] == pytest.approx(frame["stars"].fillna(4.5).mean())


def test_one_score_behind_every_door(model, version, learned, embedded, tmp_path):
    frame = gaps()
    stated = frame.copy()  # what a missing number means, written out
    means = {name: learned[name]["mean"] for name in ("height", "income", "raw")}
    means = {**means, "income": math.expm1(means["income"]), "stars": 4.5, "speed": 0.0}
    for row, name in enumerate(NUMBERS):
        stated.loc[row, name] = np.float32(means[name])
    expected = score(model, stated)
    assert np.ptp(expected) > 1e-3
    elsewhere = score(model, stated.assign(**dict.fromkeys(NUMBERS, 9.0)))
    assert np.abs(expected - elsewhere).min() > 1e-4  # the numbers matter

    table = read_table(frame)  # pandas' NaN is Arrow's null
    assert table["height"].null_count == 1
    nan = pa.table({n: pa.array(frame[n].to_numpy(), from_pandas=False) for n in frame})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.csv", index=False, na_rep="NA")
    rows = frame.to_dict("records")
    none = [{k: None if v != v else v for k, v in row.items()} for row in rows]
    nullable = frame.astype(dict.fromkeys(NUMBERS, "Float64"))
    found = {
        "frame": score(model, frame),
        "null": score(model, table),
        "NaN": score(model, nan),
        "Float64": score(model, nullable),
        "Parquet": score(model, tmp_path / "a.parquet"),
        "CSV": score(model, tmp_path / "a.csv"),
        "CSV with NA": score(model, tmp_path / "b.csv"),
        "encoded": model.predict(
            open_dataset(SCHEMA, frame, labels=False, encode=model.features), verbose=0
        )["cvr"],
    }
    url = embedded("--model_name=cvr", f"--model_base_path={version.parent}")
    with Client(url, "cvr", SCHEMA) as client, Client(url, "cvr") as asking:
        found["client, NaN"] = client.predict(rows)["cvr"]
        found["client, None"] = client.predict(none)["cvr"]
        found["client, text"] = client.predict(
            [{k: "NA" if v is None else str(v) for k, v in row.items()} for row in none]
        )["cvr"]
        found["client, DataFrame"] = client.predict(frame)["cvr"]
        found["client, NA"] = client.predict(nullable)["cvr"]
        found["client without a schema"] = asking.predict(none)["cvr"]
        columns = {name: frame[name].tolist() for name in frame}
        found["REST"] = client.send({"inputs": columns})["outputs"]["cvr"]
        with pytest.raises(Exception, match=r"(?i)null|JSON"):  # as TensorFlow Serving has it
            client.send({"inputs": {**columns, "height": [None] * len(frame)}})
    arrays = {name: frame[name].to_numpy() for name in frame}
    examples = to_examples(SCHEMA, arrays)
    absent = [_without(e, name) for e, name in zip(examples, [*NUMBERS, None], strict=True)]
    with Scorer(version) as scorer:
        for name, serialized in (("examples", examples), ("absent", absent)):
            inputs = {"inputs": np.asarray(serialized, object)}
            found[name] = scorer.run(inputs, "predict_examples")["cvr"]
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for example in absent:
            writer.write(example)
    found["TFRecord"] = score(model, tmp_path / "a.tfrecord")
    for name, values in found.items():
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6, err_msg=name)


def _without(serialized, name):
    example = tf.train.Example.FromString(serialized)
    if name is not None:
        del example.features.feature[name]
    return example.SerializeToString()


def test_missing_stated_as_zero_keeps_the_old_meaning():
    old = SCHEMA.model_dump(mode="json")
    for feature in old["features"][1:]:
        feature["missing"] = 0.0
    schema = Schema.parse(old)
    learned = learn_vocabularies(schema, made())
    filled = made().fillna(0.0).astype(np.float64)
    assert learned["height"]["mean"] == pytest.approx(filled["height"].mean())
    (batch,) = next(iter(open_dataset(schema, gaps(), labels=False)))
    assert batch["height"].numpy()[0] == 0.0
