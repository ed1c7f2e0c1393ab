"""Damaged messages over a real gRPC socket: no crash, no stack trace, and no OK that is wrong."""

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from google.protobuf.message import DecodeError

from idefn_tf.export import replay
from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import to_proto

apis = pytest.importorskip("tensorflow_serving.apis")
MESSAGES = 10_000
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL", "UNIMPLEMENTED", "FAILED_PRECONDITION"}


def whole(columns, rows, content):
    """A request that is in order, as bytes."""
    from tensorflow_serving.apis import predict_pb2

    made = predict_pb2.PredictRequest()
    made.model_spec.name = "cvr"
    for name, values in columns.items():
        made.inputs[name].ParseFromString(to_proto(values[:rows], content=content))
    return made.SerializeToString()


def damaged(rng, data):
    """Returns the bytes with something changed, dropped, doubled or put in."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, size = int(rng.integers(0, len(data))), int(rng.integers(1, 24))
        how = rng.integers(0, 6)
        if how < 2:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif how == 2:
            data[at] = int(rng.integers(0, 256))
        elif how == 3:
            del data[at : at + size]
        elif how == 4:
            data[at:at] = data[at : at + size]
        else:
            data = data[:at] if rng.random() < 0.2 else data + data[at : at + size]
        if not data:
            break
    return bytes(data)


@pytest.mark.slow
def test_ten_thousand_damaged_messages(sources, tiny_base, doors):
    from tensorflow_serving.apis import predict_pb2

    rest, address = doors
    own = tf.saved_model.load(str(tiny_base / "1")).signatures["serving_default"]
    rng = np.random.default_rng(0)
    with grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

        def ask(data):
            try:
                answer = predict_pb2.PredictResponse.FromString(predict(data, timeout=30))
            except grpc.RpcError as error:
                return error.code().name, error.details()
            return "OK", {name: tf.make_ndarray(v) for name, v in answer.outputs.items()}

        read = 0
        for number in range(MESSAGES):
            data = damaged(rng, sources[number % len(sources)])
            code, found = ask(data)
            if code != "OK":
                assert code in REFUSALS, (number, code, found)
                assert "Traceback" not in found
                continue
            try:
                parsed = predict_pb2.PredictRequest.FromString(data)
            except DecodeError:
                pytest.fail(f"message {number} is no request and was answered")
            read += 1
            # TensorFlow's C++ reader, as TensorFlow Serving has it: make_ndarray refuses more
            given = {
                name: tf.io.parse_tensor(tensor.SerializeToString(), tensor.dtype)
                for name, tensor in parsed.inputs.items()
            }
            expected = own(**given)
            for name in found:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-7)
    assert 100 < read < MESSAGES
    assert requests.get(f"{rest}/v1/models/cvr", timeout=30).status_code == 200


@pytest.fixture(scope="module")
def doors(tiny_base, embedded_grpc):
    """REST and gRPC addresses of one server."""
    return embedded_grpc("--model_name=cvr", f"--model_base_path={tiny_base}")


@pytest.fixture(scope="module")
def sources(tiny):
    """Requests in order: of one row and of three, as raw content and as typed values."""
    columns = replay.request_arrays(tiny.SCHEMA, tiny.make_frame())
    return [whole(columns, rows, content) for rows in (1, 3) for content in (True, False)]


@pytest.mark.parametrize("name", ["PredictRequest", "TensorsRequest"])
def test_a_damaged_message_is_refused_where_the_official_one_is(sources, name):
    from tensorflow_serving.apis import predict_pb2

    rng = np.random.default_rng(1)
    own = message_class(name)
    counts = {True: 0, False: 0}
    for number in range(4_000):
        data = damaged(rng, sources[number % len(sources)])
        official = parses(predict_pb2.PredictRequest, data)
        # a tensor is bytes to PredictRequest here, and is read later
        assert parses(own, data) or not official
        assert name == "PredictRequest" or parses(own, data) == official
        counts[official] += 1
    assert min(counts.values()) > 400


def parses(kind, data):
    try:
        kind.FromString(data)
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("first", ["in order", "damaged"])
def test_of_an_input_sent_twice_the_last_counts_and_both_are_read(doors, sources, first):
    """As protobuf has it of a map. A damaged tensor spoils the message, also where it is first."""
    tensor = to_proto(np.zeros(1, np.int64)) if first == "in order" else b"\x53\x01"
    entry = bytes([0x0A, 4, *b"hour", 0x12, len(tensor), *tensor])
    body = bytes([0x12, len(entry), *entry]) + sources[0]
    with grpc.insecure_channel(doors[1]) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        if first == "in order":
            assert predict(body) == predict(sources[0])
            return
        with pytest.raises(grpc.RpcError) as caught:
            predict(body)
    assert caught.value.code().name == "INVALID_ARGUMENT"
    assert caught.value.details() == "The request is no PredictRequest"
