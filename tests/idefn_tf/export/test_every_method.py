"""Every method and every backbone can be exported."""

import numpy as np
import pytest

from idefn_tf.backbones import BACKBONES
from idefn_tf.export import Scorer, export_model
from idefn_tf.export.replay import python_scores, request_arrays
from idefn_tf.features import FeatureColumns
from idefn_tf.models import METHODS, get_method
from idefn_tf.schema import Schema

pytestmark = pytest.mark.job

#: Features of every kind are exported with a backbone each; a method's own part reads these.
SMALL = Schema.parse(
    {
        "name": "small",
        "labels": {"click": "click", "conversion": "conversion"},
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "identity",
             "num_buckets": 40},
            {"name": "shop", "dtype": "int64", "side": "item", "kind": "hash", "num_buckets": 32},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric",
             "log1p": True, "missing": 5.0},
        ],
    }
)  # fmt: skip


def check(model, schema, frame, base):
    path = export_model(model, schema, base, replay=frame)
    arrays = request_arrays(schema, frame)
    with Scorer(path) as scorer:
        found = scorer.score(arrays)
    expected = python_scores(model, schema, arrays)
    for name in ("ctr", "cvr", "ctcvr"):
        assert found[name].shape == (len(frame),)
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_is_exported(name, tiny, tmp_path):
    features = FeatureColumns.from_schema(SMALL, {}, embedding_stddev=0.5)
    frame = tiny.make_frame(64)[["user", "shop", "price"]]
    check(get_method(name)(features), SMALL, frame, tmp_path / "cvr")


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_backbone_is_exported(name, tiny, tmp_path):
    features = FeatureColumns.from_schema(tiny.SCHEMA, tiny.vocabularies(), embedding_stddev=0.5)
    model = get_method("esmm")(features, BACKBONES[name]())
    check(model, tiny.SCHEMA, tiny.make_frame(64), tmp_path / "cvr")


def test_list_that_is_absent_at_serving_has_its_one_entry(tmp_path, tiny):
    schema = Schema.parse(
        {
            "name": "lists",
            "labels": {"click": "click", "conversion": "conversion"},
            "embedding_width": 4,
            "features": [
                {"name": "user", "dtype": "int64", "side": "user", "kind": "hash",
                 "num_buckets": 16},
                {"name": "shown", "dtype": "int64", "side": "context", "kind": "identity",
                 "num_buckets": 5, "max_length": 3, "weights": "w", "combiner": "sum",
                 "train_only": True, "serving_value": 2},
            ],
        }
    )  # fmt: skip
    model = get_method("esmm")(FeatureColumns.from_schema(schema, {}, embedding_stddev=0.5))
    frame = tiny.make_frame(20)[["user"]]
    path = export_model(model, schema, tmp_path / "cvr", replay=frame)
    with Scorer(path) as scorer:
        assert scorer.inputs() == {"user": "int64"}
        found = scorer.score(request_arrays(schema, frame))["cvr"]
    rows = {
        "user": frame["user"].to_numpy(),
        "shown": np.tile(np.array([2, -1, -1]), (20, 1)),
        "shown_weights": np.tile(np.array([1.0, 0.0, 0.0], np.float32), (20, 1)),
    }
    np.testing.assert_allclose(found, model(rows)["cvr"], rtol=0, atol=1e-6)
