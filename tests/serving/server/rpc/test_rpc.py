"""The gRPC door over a real socket, spoken to by the official stubs and by the client."""

import os
import subprocess
import sys

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf

from idefn_tf.export.serving_protos import message_class
from serving.client import Client
from serving.common.connection import DeniedError, InvalidRequestError, NotFoundError
from serving.common.tensor_protos import to_proto

apis = pytest.importorskip("tensorflow_serving.apis")


@pytest.fixture(scope="module")
def doors(tiny_base, embedded_grpc, tmp_path_factory):
    """REST and gRPC addresses of one server."""
    page = tmp_path_factory.mktemp("monitoring") / "monitoring.config"
    page.write_text('prometheus_config: { enable: true, path: "/metrics" }')
    model = "--model_name=cvr", f"--model_base_path={tiny_base}"
    return embedded_grpc(*model, f"--monitoring_config_file={page}")


@pytest.fixture(scope="module")
def stubs(doors):
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    channel = grpc.insecure_channel(doors[1])
    yield (
        prediction_service_pb2_grpc.PredictionServiceStub(channel),
        model_service_pb2_grpc.ModelServiceStub(channel),
    )
    channel.close()


def request_of(frame, rows, name="cvr", signature=""):
    from tensorflow_serving.apis import predict_pb2

    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = name, signature
    for key, values in frame.items():
        made.inputs[key].CopyFrom(tf.make_tensor_proto(values[:rows]))
    return made


@pytest.fixture(scope="module")
def columns(tiny):
    """Typed inputs of the tiny model's rows, by the library's own reading."""
    from idefn_tf.export import replay

    return replay.request_arrays(tiny.SCHEMA, tiny.make_frame())


def refusal(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


def test_predict_gives_rests_numbers(doors, stubs, columns, tiny):
    answer = stubs[0].Predict(request_of(columns, 5))
    assert answer.model_spec.name == "cvr"
    assert answer.model_spec.version.value == 1
    assert answer.model_spec.signature_name == "serving_default"
    found = {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}
    with Client(doors[0], "cvr", tiny.SCHEMA) as client:
        expected = client.predict(tiny.make_frame().head(5))
    for name in ("ctr", "cvr", "ctcvr"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_the_client_speaks_grpc_without_tensorflow(doors, tiny):
    frame = tiny.make_frame().head(7)
    with Client(doors[0], "cvr", tiny.SCHEMA) as rest:
        expected = rest.predict(frame)
    with Client(f"grpc://{doors[1]}", "cvr", tiny.SCHEMA) as client:
        found = client.predict(frame)
    np.testing.assert_allclose(found["cvr"], expected["cvr"], rtol=1e-6)


def test_an_output_filter_gives_those_alone(stubs, columns):
    request = request_of(columns, 2)
    request.output_filter.append("cvr")
    assert list(stubs[0].Predict(request).outputs) == ["cvr"]


def test_metadata_and_status(stubs):
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "cvr"
    answer = stubs[0].GetModelMetadata(asked)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert "cvr" in found.signature_def["serving_default"].outputs
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "cvr"
    (version,) = stubs[1].GetModelStatus(status).model_version_status
    assert (version.version, version.state, version.status.error_code) == (1, 30, 0)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda r: r.ClearField("model_spec"), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            lambda r: setattr(r.model_spec, "name", "none"),
            "NOT_FOUND",
            "Servable not found for request: Latest(none)",
        ),
        (
            lambda r: setattr(r.model_spec.version, "value", 7),
            "NOT_FOUND",
            "Servable not found for request: Specific(cvr, 7)",
        ),
        (
            lambda r: setattr(r.model_spec, "version_label", "canary"),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: canary",
        ),
        (
            lambda r: setattr(r.model_spec, "signature_name", "other"),
            "FAILED_PRECONDITION",
            'Serving signature key "other" not found.',
        ),
        (
            lambda r: r.output_filter.extend(["cvr", "cvr"]),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: cvr",
        ),
        (
            lambda r: r.output_filter.append("cv"),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: cv Outputs expected to be in the set "
            "{ctcvr,ctr,cvr}.",
        ),
    ],
)
def test_what_is_wrong_is_told_in_tensorflow_servings_words(stubs, columns, change, code, said):
    request = request_of(columns, 2)
    change(request)
    assert refusal(lambda: stubs[0].Predict(request)) == (code, said)


def test_a_missing_input_is_named(stubs, columns):
    request = request_of(columns, 2)
    name = min(columns)
    del request.inputs[name]
    code, said = refusal(lambda: stubs[0].Predict(request))
    assert code == "INVALID_ARGUMENT"
    assert said.startswith(f"input size does not match signature: {len(columns) - 1}!=")
    assert said.endswith(f"Sent extra: {{}}. Missing but required: {{{name}}}.")


def test_a_tensor_of_another_type_or_a_broken_one_is_refused(stubs, columns):
    request = request_of(columns, 2)
    name = min(columns)
    request.inputs[name].CopyFrom(tf.make_tensor_proto([True, False]))
    assert refusal(lambda: stubs[0].Predict(request))[0] == "INVALID_ARGUMENT"
    request.inputs[name].tensor_content = b"123"
    code, said = refusal(lambda: stubs[0].Predict(request))
    assert code == "INVALID_ARGUMENT"
    assert said.startswith(f"tensor parsing error: {name}")


def test_bytes_that_are_no_message_are_refused(doors):
    with grpc.insecure_channel(doors[1]) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        assert refusal(lambda: call(b"\xff\xff\xff\xff"))[0] == "INVALID_ARGUMENT"
        other = channel.unary_unary("/tensorflow.serving.PredictionService/Nothing")
        assert refusal(lambda: other(b""))[0] == "UNIMPLEMENTED"


def test_ten_thousand_broken_messages_bring_nothing_down(doors, columns):
    rng = np.random.default_rng(0)
    made = message_class("PredictRequest")()
    made.model_spec.name = "cvr"
    for key, values in columns.items():
        made.inputs[key] = to_proto(values[:1], content=True)
    whole = np.frombuffer(made.SerializeToString(), np.uint8)
    right = message_class("PredictResponse")
    with grpc.insecure_channel(doors[1]) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        calls = []
        for _ in range(int(os.environ.get("IDEFN_TF_FUZZ", "1000"))):
            broken = whole.copy()
            at = rng.integers(0, len(broken), rng.integers(1, 6))
            broken[at] = rng.integers(0, 256, len(at))
            calls.append(call.future(broken[: rng.integers(1, len(broken) + 1)].tobytes()))
        codes = {}
        for one in calls:
            code = one.code().name
            codes[code] = codes.get(code, 0) + 1
            if code == "OK":  # another id, perhaps: scores of one row
                outputs = right.FromString(one.result()).outputs
                assert sorted(outputs) == ["ctcvr", "ctr", "cvr"]
        assert not {"INTERNAL", "UNKNOWN"} & set(codes), codes
        assert call(whole.tobytes())


def test_health_needs_no_token_and_calls_do(tiny_base, embedded_grpc, tmp_path, tiny):
    token = tmp_path / "token"
    token.write_text("secret")
    _, address = embedded_grpc(
        "--model_name=cvr", f"--model_base_path={tiny_base}", f"--bearer_token_file={token}"
    )
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert message_class("HealthCheckResponse").FromString(check(b"")).status == 1
        unknown = message_class("HealthCheckRequest")(service="none").SerializeToString()
        assert refusal(lambda: check(unknown)) == ("NOT_FOUND", "unknown service")
    frame = tiny.make_frame().head(2)
    with (
        Client(f"grpc://{address}", "cvr", tiny.SCHEMA) as client,
        pytest.raises(DeniedError, match="A valid bearer token is required"),
    ):
        client.predict(frame)
    with Client(f"grpc://{address}", "cvr", tiny.SCHEMA, token="secret") as client:
        assert len(client.predict(frame)["cvr"]) == 2


def test_the_client_raises_what_rest_raises(doors, tiny):
    frame = tiny.make_frame().head(1)
    with (
        Client(f"grpc://{doors[1]}", "none", tiny.SCHEMA) as client,
        pytest.raises(NotFoundError, match="Servable not found"),
    ):
        client.predict(frame)
    with (
        Client(f"grpc://{doors[1]}", "cvr", tiny.SCHEMA, label="gone") as client,
        pytest.raises(InvalidRequestError, match="Unrecognized servable version label"),
    ):
        client.predict(frame)


def test_a_port_that_is_taken_is_told(tiny_base, doors, cli_root):
    port = doors[1].rpartition(":")[2]
    found = subprocess.run(
        [sys.executable, "-m", "serving.server", "--rest_api_port=0", f"--port={port}",
         "--model_name=cvr", f"--model_base_path={tiny_base}"],
        capture_output=True, text=True, cwd=cli_root, timeout=120,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert found.returncode == 1
    assert f"Cannot start: --port {port}" in found.stderr
    assert requests.get(f"{doors[0]}/v1/models/cvr", timeout=10).status_code == 200


def test_tls_with_a_token(tiny_base, embedded_grpc, certificates, tiny):
    rest, address = embedded_grpc(
        "--model_name=cvr", f"--model_base_path={tiny_base}",
        f"--ssl_certfile={certificates / 'server.pem'}",
        f"--ssl_keyfile={certificates / 'server.key'}",
        f"--bearer_token_file={certificates / 'token'}",
    )  # fmt: skip
    authority = str(certificates / "ca.pem")
    frame = tiny.make_frame().head(3)
    given = {"token": "a-long-secret", "verify": authority}
    with Client(f"grpcs://{address}", "cvr", tiny.SCHEMA, **given) as client:
        found = client.predict(frame)["cvr"]
    with Client(rest, "cvr", tiny.SCHEMA, **given) as client:
        np.testing.assert_allclose(found, client.predict(frame)["cvr"], rtol=1e-6)
    with pytest.raises(ValueError, match="verify: must be True or a file"):
        Client(f"grpcs://{address}", "cvr", tiny.SCHEMA, verify=False)


def test_raw_tensor_content_is_given_where_it_is_asked_for(tiny_base, embedded_grpc, columns):
    _, address = embedded_grpc(
        "--model_name=cvr", f"--model_base_path={tiny_base}",
        "--enable_serialization_as_tensor_content",
    )  # fmt: skip
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        answer = call(request_of(columns, 3).SerializeToString())
    outputs = message_class("PredictResponse").FromString(answer).outputs
    tensor = tf.make_tensor_proto(0).FromString(outputs["cvr"])
    assert len(tensor.tensor_content) == 12
    assert not tensor.float_val


def test_classify_and_regress_give_rests_answers(doors, stubs, tiny, columns):
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    from idefn_tf.export.tf_examples import to_examples

    examples = to_examples(tiny.SCHEMA, {k: v[:2] for k, v in columns.items()})
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name, asked.model_spec.signature_name = "cvr", "classify"
    for body in examples:
        asked.input.example_list.examples.add().ParseFromString(body)
    found = stubs[0].Classify(asked).result.classifications
    scores = [{c.label: c.score for c in row.classes} for row in found]
    with Client(doors[0], "cvr", tiny.SCHEMA) as client:
        expected = client.predict(tiny.make_frame().head(2))
    for i in range(2):
        assert scores[i]["cvr"] == pytest.approx(expected["cvr"][i], rel=1e-6)
    regress = regression_pb2.RegressionRequest()
    regress.model_spec.name, regress.model_spec.signature_name = "cvr", "regress"
    regress.input.CopyFrom(asked.input)
    values = [r.value for r in stubs[0].Regress(regress).result.regressions]
    assert values == pytest.approx(list(expected["cvr"]), rel=1e-6)
    regress.input.Clear()
    assert refusal(lambda: stubs[0].Regress(regress)) == ("INVALID_ARGUMENT", "Input is empty.")


def test_a_cancelled_call_counts_as_cancelled(doors, stubs, columns):
    request = request_of({key: np.repeat(v, 500, axis=0) for key, v in columns.items()}, 2000)
    page = ""
    while "CANCELLED" not in page and "INTERNAL" not in page:
        calls = [stubs[0].Predict.future(request) for _ in range(4)]
        calls[0].result()  # the others are at the server by now, or done
        _ = [call.cancel() for call in calls]
        page = requests.get(f"{doors[0]}/metrics", timeout=10).text
    assert "INTERNAL" not in page
