"""An empty list of a feature with `missing`: one score behind every door, or no export."""

import ibis
import numpy as np
import pytest

from idefn_tf.backbones import MLP
from idefn_tf.data import learn_vocabularies, open_dataset
from idefn_tf.export import export_model, replay
from idefn_tf.export.corner_cases import edge_rows
from idefn_tf.export.scorer import Scorer
from idefn_tf.export.tf_examples import to_examples
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.schema import Schema
from pipelines.preparation import encode
from pipelines.preparation.engine import Engine
from serving.client import Client
from serving.common.request import RequestBuilder

pytestmark = pytest.mark.job


def with_missing(tiny, **values):
    described = tiny.SCHEMA.model_dump(mode="json")
    for feature in described["features"]:
        feature["missing"] = values.get(feature["name"], feature["missing"])
    return Schema.parse(described)


def train(schema, tiny, vocabularies):
    features = FeatureColumns.from_schema(schema, vocabularies, embedding_stddev=0.5)
    model = ESMM(features, MLP((8,)))
    model.compile("adam", jit_compile=False)
    model.fit(open_dataset(schema, tiny.make_frame(), batch_size=200), epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def filled(tiny):
    return with_missing(tiny, tags="none", topics=7)


@pytest.fixture(scope="module")
def vocabularies(tiny, filled):
    found = learn_vocabularies(filled, tiny.make_frame())
    assert "none" in found["tags"]["values"]
    return found


@pytest.fixture(scope="module")
def model(tiny, filled, vocabularies):
    return train(filled, tiny, vocabularies)


@pytest.fixture(scope="module")
def version(tiny, filled, model, tmp_path_factory):
    base = tmp_path_factory.mktemp("models") / "cvr"
    return export_model(model, filled, base, replay=tiny.make_frame())


def test_one_score_from_part_frame_client_examples_and_rest(
    tiny, filled, model, version, embedded, tmp_path
):
    frame = tiny.make_frame(8).assign(row_id=range(8), topics=[None, "", " , ", "3"] * 2)
    frame = frame.assign(position=3)  # what serving uses
    frame["tags"] = [[] if i % 2 else ["x"] for i in range(8)]
    frame["tag_weights"] = [[] if i % 2 else [1.0] for i in range(8)]
    with Engine(tmp_path / "work", threads=1) as engine:
        table = engine.keep(ibis.memtable(frame))
        part = table.select(**encode.prepared_columns(table, filled)).order_by("row_id")
        part = part.to_pyarrow()
    assert part["tags"].to_pylist()[1] == ["none"]
    assert part["topics"].to_pylist()[:4] == [[7], [7], [7], [3]]
    cvr = {
        name: model.predict(open_dataset(filled, source), verbose=0)["cvr"]
        for name, source in (("part", part), ("frame", frame))
    }
    # a caller of REST alone pads and knows nothing of `missing`
    padded = RequestBuilder.from_schema(filled).columns(frame)
    padded["tags"] = [["", "", ""] if i % 2 else ["x", "", ""] for i in range(8)]
    padded["tags_weights"] = [[0.0] * 3 if i % 2 else [1.0, 0.0, 0.0] for i in range(8)]
    padded["topics"] = [[3, -1] if i % 4 == 3 else [-1, -1] for i in range(8)]
    url = embedded("--model_name=cvr", f"--model_base_path={version.parent}")
    with Client(url, "cvr", filled) as client:
        cvr["client"] = client.predict(frame)["cvr"]
        cvr["rest"] = client.send({"inputs": padded})["outputs"]["cvr"]
    arrays = {name: np.asarray(values) for name, values in padded.items()}
    for name in ("tags", "segment"):
        arrays[name] = np.char.encode(arrays[name].astype(str)).astype(object)
    examples = np.asarray(to_examples(filled, arrays), object)
    with Scorer(version) as scorer:
        cvr["examples"] = scorer.run({"inputs": examples}, "predict_examples")["cvr"]
    for name, found in cvr.items():
        np.testing.assert_allclose(found, cvr["part"], atol=1e-6, err_msg=name)
    nothing = frame.assign(tags=[["y"]] * 8, tag_weights=[[0.0]] * 8)  # the zero vector
    zero = model.predict(open_dataset(filled, nothing), verbose=0)["cvr"]
    assert np.abs(zero[1::2] - cvr["part"][1::2]).max() > 1e-3


def test_replay_refuses_a_graph_that_takes_an_empty_list_for_nothing(
    tiny, filled, model, vocabularies, tmp_path
):
    other = train(tiny.SCHEMA, tiny, vocabularies)
    other.set_weights(model.get_weights())
    made = edge_rows(filled, model.features.fields)
    assert (made["tags"][0] == b"").all()
    expected = replay.python_scores(model, filled, made)
    path = export_model(other, tiny.SCHEMA, tmp_path / "cvr")
    with Scorer(path) as scorer, pytest.raises(ValueError, match=r"for replayed row .* is right"):
        replay.check(scorer, expected, made, filled)
