"""Warm-up records are TensorFlow Serving's own messages, run on the version, and few enough."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.export import Scorer, warmup
from idefn_tf.export.corner_cases import edge_rows
from idefn_tf.export.serving_protos import message_class
from idefn_tf.export.warmup_records import FILE, parse_record, read_records


def records(version):
    return list(read_records(version))


def test_every_signature_is_warmed_up(version):
    seen = {parse_record(data).signature for data in records(version)}
    assert seen == {"serving_default", "predict_examples", "classify", "regress"}
    assert 4 <= len(records(version)) <= 1000


def test_records_read_as_the_owners_messages(version):
    prediction_log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    kinds = []
    with Scorer(version) as scorer:
        for data in records(version):
            record = prediction_log.PredictionLog.FromString(data)
            kind = record.WhichOneof("log_type")
            request = getattr(record, kind).request
            assert request.model_spec.name == "cvr"
            if kind == "predict_log":
                inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            else:
                examples = request.input.example_list.examples
                inputs = {"inputs": np.array([e.SerializeToString() for e in examples], object)}
            found = scorer.run(inputs, request.model_spec.signature_name)
            assert all(len(values) for values in found.values())
            kinds.append(kind)
            # the same bytes as the owner's own classes write
            ours = message_class("PredictionLog").FromString(data)
            again = prediction_log.PredictionLog.FromString(ours.SerializeToString())
            written = [m.SerializeToString(deterministic=True) for m in (again, record)]
            assert written[0] == written[1]
    assert set(kinds) == {"predict_log", "classify_log", "regress_log"}


def test_a_record_that_asks_for_nothing_is_counted_and_not_run(tmp_path, version):
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in (b"", records(version)[0]):
            writer.write(record)
    with Scorer(version) as scorer:
        assert warmup.check(tmp_path, scorer) == 2


def test_more_records_than_a_server_reads_are_refused(model, tiny, tmp_path, monkeypatch):
    made = edge_rows(tiny.SCHEMA, model.features.fields)
    monkeypatch.setattr(warmup, "MOST_RECORDS", 10)
    with pytest.raises(ValueError, match=r"^records: must be at most 10, received 1[0-9]$"):
        warmup.write(tmp_path, made, tiny.SCHEMA, "cvr")
    assert not (tmp_path / FILE).exists()


def test_failing_record_is_found(version, model, tiny, tmp_path):
    made = edge_rows(tiny.SCHEMA, model.features.fields)
    made["tags"] = made["tags"][:, :1]  # a list too short for the graph
    warmup.write(tmp_path, made, tiny.SCHEMA, "cvr")
    with (
        Scorer(version) as scorer,
        pytest.raises(ValueError, match=r"record 1 \(serving_default\) fails"),
    ):
        warmup.check(tmp_path, scorer)
