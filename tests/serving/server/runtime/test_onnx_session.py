"""The embedded server serves an ONNX version as it serves a SavedModel, messages included."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")

from idefn_tf.export import export_model
from idefn_tf.export.replay import python_scores, request_arrays
from serving.client import Client, InvalidRequestError
from serving.common.onnx_connection import rows_of
from tests.idefn_tf.export.onnx import onnx_run

pytestmark = [pytest.mark.onnx, pytest.mark.job]

ROW = {
    "user": 3,
    "device": onnx_run.LARGE + 1,
    "shift": -3,
    "shop": 7,
    "brand": 10**11,
    "segment": "a",
    "at": 18,
    "depth": 1.0,
    "tags": ["x", "", ""],
    "tags_weights": [1.0, 0.0, 0.0],
    "topics": [4, 5],
    "price": 9.5,
    "margin": 0.5,
    "hour": 12,
}
COLUMNS = {name: [value] for name, value in ROW.items()}
TYPE = "is not of expected type: {}"
FEED = "Cannot feed value of shape {} for Tensor serving_default_{}:0, which has shape {}"
#: Bodies that are no request of the graph: what REST says of either format, and what the client of
#: a file says, which reads cells as training read them; None where it scores (docs/serve.md).
WRONG = {
    "no JSON": (b"{", "JSON Parse error", "Expecting property name"),
    "neither rows nor columns": (
        {}, "Missing 'inputs' or 'instances' key", "body: must hold rows in"
    ),
    "an input is missing": (
        {"inputs": {k: v for k, v in COLUMNS.items() if k != "hour"}},
        "Missing named input: hour", "rows: row 0 lacks hour",
    ),
    "text for a number": (
        {"inputs": {**COLUMNS, "user": ["x"]}}, TYPE.format("int64"), "user: must be int64"
    ),
    "a fraction for an id": (
        {"inputs": {**COLUMNS, "user": [1.5]}}, TYPE.format("int64"), "user: must be int64"
    ),
    "an id beyond int64": (
        {"inputs": {**COLUMNS, "user": [2**63]}}, TYPE.format("int64"), "user: must be int64"
    ),
    "a list in place of a number": (
        {"inputs": {**COLUMNS, "user": [[3]]}},
        FEED.format("(1, 1)", "user", "(None,)"), "user: must be int64",
    ),
    "a number for text": ({"inputs": {**COLUMNS, "segment": [7]}}, TYPE.format("string"), None),
    "null": ({"inputs": {**COLUMNS, "user": [None]}}, TYPE.format("int64"), None),
    "a number in place of a list": (
        {"inputs": {**COLUMNS, "topics": [4]}}, FEED.format("(1,)", "topics", "(None, 2)"), None
    ),
    "a list of another length": (
        {"inputs": {**COLUMNS, "topics": [[4]]}}, FEED.format("(1, 1)", "topics", "(None, 2)"), None
    ),
    "columns of several lengths": (
        {"inputs": {**COLUMNS, "user": [3, 4]}}, "", "inputs: must have one number of rows"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return onnx_run.make_model()


@pytest.fixture(scope="module")
def base(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    text = ""
    for name, form in (("saved", "saved-model"), ("onnx", "onnx")):
        export_model(model, onnx_run.SCHEMA, folder / name, format=form)
        text += f'config {{ name: "{name}" base_path: "{folder / name}" '
        text += 'model_platform: "tensorflow" version_labels { key: "stable" value: 1 } }\n'
    (folder / "models.config").write_text(f"model_config_list {{\n{text}}}\n")
    return folder


@pytest.fixture(scope="module")
def url(base, embedded):
    return embedded(f"--model_config_file={base / 'models.config'}")


def post(url, name, body, verb="predict"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/models/{name}:{verb}", data=data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_rows_score_like_python(url, model):
    frame = onnx_run.make_frame(60, seed=6)
    expected = python_scores(model, onnx_run.SCHEMA, request_arrays(onnx_run.SCHEMA, frame))
    with Client(url, "onnx", onnx_run.SCHEMA) as client:
        found = client.predict(frame)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6)


def test_either_format_says_of_itself_the_same(url):
    with Client(url, "saved") as saved, Client(url, "onnx") as onnx:
        assert [one["state"] for one in onnx.status()] == ["AVAILABLE"]
        described = [
            client.metadata()["metadata"]["signature_def"]["signature_def"]["serving_default"]
            for client in (saved, onnx)
        ]
    assert described[0]["inputs"] == described[1]["inputs"]
    for of in described:
        for one in of["outputs"].values():
            del one["name"]
    assert described[0]["outputs"] == described[1]["outputs"]


def test_a_label_names_a_version_of_either_format(url):
    found = [Client(url, name, label="stable").predict(ROW)["cvr"] for name in ("saved", "onnx")]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    with pytest.raises(InvalidRequestError, match="Unrecognized servable version label: canary"):
        Client(url, "onnx", label="canary").predict(ROW)


def test_rows_and_columns_and_no_row_are_answered_alike(url):
    for body in (
        {"instances": [ROW, ROW]},
        {"inputs": COLUMNS},
        {"inputs": {**COLUMNS, "segment": [{"b64": "/w=="}]}},  # text that is not UTF-8
        {"inputs": {**COLUMNS, "user": [-(2**63)]}},
    ):
        (code, saved), (other, onnx) = post(url, "saved", body), post(url, "onnx", body)
        assert code == other == 200
        one, two = (np.array(flat(json.loads(text))) for text in (saved, onnx))
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def flat(answer):
    if isinstance(answer, dict):
        return [x for key in sorted(answer) for x in flat(answer[key])]
    return [x for one in answer for x in flat(one)] if isinstance(answer, list) else [answer]


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_answered_alike(url, case):
    body, said, _ = WRONG[case]
    (code, saved), (other, onnx) = post(url, "saved", body), post(url, "onnx", body)
    assert code == other == 400
    assert said in json.loads(onnx)["error"]
    if case != "columns of several lengths":  # which TensorFlow's graph refuses by a node's name
        assert onnx == saved


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_or_read_by_the_client_of_a_file(base, case):
    body, _, said = WRONG[case]
    with Client(f"onnx:{base / 'onnx' / '1' / 'model.onnx'}", "cvr") as client:

        def ask():
            return client.predict(rows_of(json.loads(body) if isinstance(body, bytes) else body))

        if said is None:
            assert 0 < ask()["cvr"][0] < 1
        else:
            with pytest.raises(ValueError, match=said):
                ask()


def test_examples_have_no_signature_there(url):
    code, said = post(url, "onnx", {"examples": [{}]}, "classify")
    assert code == 400
    assert "Expected one input Tensor." in said
