"""MultiInference over a real socket, spoken to by the official stubs."""

import grpc
import pytest

from idefn_tf.export import replay
from idefn_tf.export.tf_examples import to_examples

apis = pytest.importorskip("tensorflow_serving.apis")
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def stub(tiny_base, embedded_grpc):
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    _, address = embedded_grpc("--model_name=cvr", f"--model_base_path={tiny_base}")
    channel = grpc.insecure_channel(address)
    yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    channel.close()


@pytest.fixture
def request_of(tiny):
    """Makes a request of three examples from (model, signature, method) of each task."""
    from tensorflow_serving.apis import inference_pb2

    arrays = replay.request_arrays(tiny.SCHEMA, tiny.make_frame())
    bodies = to_examples(tiny.SCHEMA, {name: array[:3] for name, array in arrays.items()})

    def make(*tasks):
        made = inference_pb2.MultiInferenceRequest()
        for model, signature, method in tasks:
            task = made.tasks.add(method_name=method)
            task.model_spec.name, task.model_spec.signature_name = model, signature
        for body in bodies:
            made.input.example_list.examples.add().ParseFromString(body)
        return made

    return make


def test_tasks_give_what_each_call_gives(stub, request_of):
    from tensorflow_serving.apis import classification_pb2, regression_pb2

    request = request_of(("cvr", "regress", REGRESS), ("cvr", "classify", CLASSIFY))
    regressed, classified = stub.MultiInference(request).results
    alone = regression_pb2.RegressionRequest(input=request.input)
    alone.model_spec.CopyFrom(request.tasks[0].model_spec)
    values = [row.value for row in stub.Regress(alone).result.regressions]
    assert len(values) == 3
    found = [row.value for row in regressed.regression_result.regressions]
    assert found == pytest.approx(values, rel=1e-6)
    assert (regressed.model_spec.version.value, regressed.model_spec.signature_name) == (
        1, "regress",
    )  # fmt: skip
    other = classification_pb2.ClassificationRequest(input=request.input)
    other.model_spec.CopyFrom(request.tasks[1].model_spec)
    scores = [{c.label: c.score for c in row.classes} for row in classified_by(stub, other)]
    found = [
        {c.label: c.score for c in row.classes}
        for row in classified.classification_result.classifications
    ]
    assert [sorted(row) for row in found] == [sorted(row) for row in scores]
    for row, expected in zip(found, scores, strict=True):
        assert row == pytest.approx(expected, rel=1e-6)
    assert classified.WhichOneof("result") == "classification_result"


def classified_by(stub, request):
    return stub.Classify(request).result.classifications


@pytest.mark.parametrize(
    ("tasks", "code", "said"),
    [
        ([], "INVALID_ARGUMENT", "Missing ModelSpec"),
        ([("none", "regress", REGRESS)], "NOT_FOUND", "Servable not found for request: "
         "Latest(none)"),
        (
            [("cvr", "regress", REGRESS), ("", "classify", CLASSIFY)],
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
        ),
        (
            [("cvr", "regress", REGRESS), ("other", "classify", CLASSIFY)],
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [("cvr", "regress", REGRESS), ("cvr", "regress", REGRESS)],
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: regress",
        ),
        (
            [("cvr", "more", REGRESS)],
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: more",
        ),
        (
            [("cvr", "regress", "tensorflow/serving/predict")],
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        ([("cvr", "", REGRESS)], "INVALID_ARGUMENT", "Expected one input Tensor."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(stub, request_of, tasks, code, said):
    with pytest.raises(grpc.RpcError) as caught:
        stub.MultiInference(request_of(*tasks))
    assert (caught.value.code().name, caught.value.details()) == (code, said)


def test_no_examples_are_refused(stub, request_of):
    request = request_of(("cvr", "regress", REGRESS))
    request.input.Clear()
    with pytest.raises(grpc.RpcError) as caught:
        stub.MultiInference(request)
    assert caught.value.details() == "Input is empty."
