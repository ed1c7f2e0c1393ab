"""Warm-up records: written with TensorFlow Serving's own protos, run by the server."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.export.warmup_records import FILE
from serving.server.errors import StatusError
from serving.server.runtime import warmup
from serving.server.runtime.servable import Servable

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


@pytest.fixture
def version(model_folder: Path, tmp_path: Path) -> Any:
    """Copies of models that get a warm-up file of these records."""

    def copy(model: str, records: list[Any]) -> Servable:
        path = tmp_path / model / "1"
        shutil.copytree(model_folder / model / "1", path)
        (path / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(str(path / FILE)) as writer:
            for record in records:
                data = record if isinstance(record, bytes) else record.SerializeToString()
                writer.write(data)
        return Servable(model, 1, path)

    return copy


def predict(signature: str = "", **inputs: Any) -> Any:
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "m"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log


def test_predict_records(version: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    full = predict(user=["a", "b"], age=np.int64([1, 2]), price=np.float32([0.5, 1.0]))
    other = predict("only_price", price=np.float32([3.0]))
    servable = version("multi", [full, other])
    seen = []
    for signature in servable.signatures.values():
        run = signature.run
        monkeypatch.setattr(signature, "run", lambda a, run=run: seen.append(a) or run(a))
    assert warmup.warm_up(servable, iterations=3) == 2
    assert len(seen) == 6
    assert seen[0]["user"].tolist() == [b"a", b"b"]
    assert seen[0]["age"].tolist() == [1, 2]
    assert seen[5]["price"].tolist() == [3.0]


def test_classify_and_regress_records(version: Any) -> None:
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(0.25)
    context = tf.train.Example()
    context.features.feature["x"].float_list.value.append(0.5)
    classify, regress = (prediction_log_pb2.PredictionLog() for _ in range(2))
    request = classify.classify_log.request
    request.model_spec.signature_name = "classify_x_to_y"
    request.input.example_list.examples.add().CopyFrom(example)
    request = regress.regress_log.request
    request.model_spec.signature_name = "regress_x_to_y"
    request.input.example_list_with_context.context.CopyFrom(context)
    request.input.example_list_with_context.examples.add()
    servable = version("examples", [classify, regress])
    assert warmup.warm_up(servable) == 2


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (predict(user=["a"]), r"Warm-up record 1: inputs \['user'\] are not those of signature"),
        (predict("nope", user=["a"]), 'record 1: Serving signature name: "nope" not found'),
        (b"\xff\xff\xff", "record 1 cannot be read"),
        (
            predict(user=["a"], age=np.int64([1, 2]), price=np.float32([1, 2, 3])),
            "record 1: Incompatible shapes",
        ),
    ],
)
def test_a_failing_record_fails_the_load(version: Any, record: Any, message: str) -> None:
    with pytest.raises(StatusError, match=message):
        warmup.warm_up(version("multi", [record]))


def test_no_more_than_a_thousand_records(version: Any) -> None:
    record = predict("only_price", price=np.float32([3.0]))
    assert warmup.warm_up(version("multi", [record] * 1000)) == 1000
    servable = version("half_plus_two", [predict(x=np.float32([1.0]))] * 1001)
    with pytest.raises(StatusError, match="more than 1000 records"):
        warmup.warm_up(servable)


def test_no_file_no_records(model_folder: Path) -> None:
    assert warmup.warm_up(Servable("echo", 1, model_folder / "echo" / "1")) == 0


def test_a_damaged_file_fails_the_load(version: Any) -> None:
    servable = version("multi", [predict("only_price", price=np.float32([3.0]))])
    path = servable.path / FILE
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StatusError):
        warmup.warm_up(servable)
