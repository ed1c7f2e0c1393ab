"""The client against the embedded server over a real socket, and against a gRPC server."""

import io
import json
import math
from concurrent import futures

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.free_ports import free_ports
from idefn_tf.export.replay import python_scores, request_arrays
from idefn_tf.schema import Schema
from serving import client as module
from serving.client import (
    Client,
    ConnectionFailedError,
    InvalidRequestError,
    MissingInputError,
    NotFoundError,
)
from serving.common.request import Input, RequestBuilder
from serving.common.row_files import read_rows

ROW = {
    "user": 3,
    "device": 7,
    "segment": "a",
    "age": 33,
    "tags": ["x"],
    "tags_weights": [1.0],
    "topics": [4, 5],
    "shop": 2,
    "price": 9.5,
    "hour": 12,
}


@pytest.fixture(scope="module")
def expected(tiny, tiny_model):
    arrays = request_arrays(tiny.SCHEMA, tiny.make_frame(200, seed=2))
    return python_scores(tiny_model, tiny.SCHEMA, arrays)


def test_round_trip_equals_python(tiny, tiny_url, expected):
    frame = tiny.make_frame(200, seed=2)
    with Client(tiny_url, "cvr", tiny.SCHEMA) as client:
        whole = client.predict(frame)
    with Client(tiny_url, "cvr", tiny.SCHEMA, max_rows=7) as client:
        parts = client.predict(frame.to_dict("records"))
    assert sorted(whole) == ["ctcvr", "ctr", "cvr"]
    assert np.ptp(expected["cvr"]) > 1e-4
    for name, values in expected.items():
        np.testing.assert_allclose(whole[name], values, rtol=0, atol=1e-6)
        np.testing.assert_allclose(parts[name], values, rtol=0, atol=1e-6)


def test_schema_from_the_server_scores_rows_without_nulls(tiny_url, tiny):
    with Client(tiny_url, "cvr") as client, Client(tiny_url, "cvr", tiny.SCHEMA) as knowing:
        assert client.predict(ROW) == knowing.predict(ROW)


def test_versions_and_labels_are_asked(tiny_url):
    assert Client(tiny_url, "cvr", version=1).predict(ROW)["ctr"]
    with pytest.raises(NotFoundError, match="cvr, 2"):
        Client(tiny_url, "cvr", version=2).predict(ROW)
    with pytest.raises(InvalidRequestError, match="Unrecognized servable version label: canary"):
        Client(tiny_url, "cvr", label="canary").predict(ROW)
    assert Client(tiny_url, "cvr").status()[0]["state"] == "AVAILABLE"


def test_classify_and_regress_answer_the_same_scores(tiny_url, tiny):
    example = {**ROW, "tags": ["x"], "tags_weights": [1.0], "position": 9}  # position: left out
    with Client(tiny_url, "cvr", tiny.SCHEMA) as client:
        scores = client.predict(ROW)
        body = {"signature_name": "classify", "examples": [example, {}]}
        (first, second) = client.send(body, "classify")["results"]
        regressed = client.send({"signature_name": "regress", "examples": [example]}, "regress")
    assert [label for label, _ in first] == ["ctr", "cvr", "ctcvr"]
    assert dict(first) == pytest.approx({k: v[0] for k, v in scores.items()}, abs=1e-6)
    assert second != first  # an empty example is a row of missing values
    assert regressed["results"] == pytest.approx(scores["cvr"], abs=1e-6)


def test_missing_input_names_it_and_shows_the_json_expected(tiny, tiny_url):
    row = {k: v for k, v in ROW.items() if k not in ("shop", "tags_weights")}
    with pytest.raises(MissingInputError, match="row 1 lacks tags_weights, shop") as caught:
        Client(tiny_url, "cvr", tiny.SCHEMA).predict([ROW, row])
    shown = json.loads(str(caught.value).partition("is unknown): ")[2])
    assert set(shown) == set(ROW)
    assert Client(tiny_url, "cvr", tiny.SCHEMA).predict(shown)["cvr"]


def test_server_message_reaches_the_caller(tiny_url):
    with pytest.raises(InvalidRequestError, match="Missing named input") as caught:
        Client(tiny_url, "cvr").send({"inputs": {"user": [1]}})
    assert caught.value.status == 400
    with pytest.raises(NotFoundError, match="404"):
        Client(tiny_url, "nobody").predict(ROW)


def test_nobody_listens():
    (port,) = free_ports(1)
    with pytest.raises(ConnectionFailedError):
        Client(f"http://127.0.0.1:{port}", "cvr").status()


def test_values_become_what_the_model_reads(tiny):
    builder = RequestBuilder.from_schema(tiny.SCHEMA)
    row = {
        **ROW,
        "user": None,
        "device": float("nan"),
        "segment": b"\xff",
        "age": np.int32(4),
        "tags": ["x", None, "y", "z"],
        "tags_weights": (0.5, 7, 1, 2),
        "topics": "7, ,9",
        "price": pd.NA,
        "position": 9,
        "click": 1,
    }
    assert builder.columns(row) == {
        "user": [-1],
        "device": [-1],
        "segment": [b"\xff"],
        "age": [4],
        "tags": [["x", "y", "z"]],
        "tags_weights": [[0.5, 1.0, 2.0]],
        "topics": [[7, 9]],
        "shop": [2],
        "price": [5.0],
        "hour": [12],
    }


def test_bytes_that_say_missing_are_missing(tiny):
    described = tiny.SCHEMA.model_dump(mode="json")
    described["features"][2]["missing"] = "none"
    builder = RequestBuilder.from_schema(Schema.parse(described))
    found = builder.columns({**ROW, "segment": b" ", "user": b"NA", "device": np.datetime64("NaT")})
    assert (found["segment"], found["user"], found["device"]) == (["none"], [-1], [-1])


def test_bytes_that_are_no_text_travel_as_b64(tiny, tiny_url, tiny_model):
    frame = tiny.make_frame(1).assign(segment=[b"\xff\x00"])
    with Client(tiny_url, "cvr", tiny.SCHEMA) as client:
        found = client.predict(frame)
    unknown = client.predict(frame.assign(segment="never seen"))
    assert found == unknown  # one row for all that is unknown


@pytest.mark.parametrize(
    ("name", "value"),
    [("user", 1.5), ("user", "3.5"), ("user", 2**63), ("price", "9f"), ("price", math.inf),
     ("user", np.datetime64("2024-05-01", "ns")), ("user", np.timedelta64(5, "ns")),
     ("topics", np.array(["2024-05-01"], "datetime64[ns]")), ("user", b"x"),
     ("segment", 1.5), ("segment", [1]), ("topics", "a,b"), ("tags", [1.5])],
)  # fmt: skip
def test_wrong_type_names_the_input(tiny, name, value):
    with pytest.raises(ValueError, match=f"^{name}: must be (int64|float32|text)"):
        RequestBuilder.from_schema(tiny.SCHEMA).columns({**ROW, name: value})


@pytest.mark.parametrize("rows", [[], [1], "text", pd.DataFrame()])
def test_no_rows_are_refused(tiny, rows):
    with pytest.raises(ValueError, match="at least one"):
        RequestBuilder.from_schema(tiny.SCHEMA).columns(rows)


def test_raw_column_names_are_accepted():
    builder = RequestBuilder([Input("user", "int64", None, -1, ("user", "uid"))])
    assert builder.columns({"uid": 5}) == {"user": [5]}


@pytest.mark.parametrize(
    ("url", "kwargs", "message"),
    [("127.0.0.1:80", {}, "url: must begin"), ("http://x", {"version": 1, "label": "a"}, "one of"),
     ("http://x", {"max_rows": 0}, "max_rows: must be 1"),
     ("http://x", {"history": "e.parquet"}, "history: needs the schema, received none;\ngive the")],
)  # fmt: skip
def test_arguments_are_checked(url, kwargs, message):
    with pytest.raises(ValueError, match=message):
        Client(url, "cvr", **kwargs)


def test_metadata_over_grpc_is_refused(tiny):
    with (
        Client("grpc://127.0.0.1:9", "cvr", tiny.SCHEMA) as client,
        pytest.raises(ValueError, match=r"^url: metadata needs REST; give the schema, and rows$"),
    ):
        client.metadata()


def test_command_line_prints_an_example_that_the_server_takes(
    tiny_run, tiny_url, tmp_path, capsys, tiny
):
    schema = ["--schema", str(tiny_run / "schema.yaml")]
    assert module.main(["--example", *schema]) == 0
    body = tmp_path / "body.json"
    body.write_text(capsys.readouterr().out)
    assert set(json.loads(body.read_text())["inputs"]) == set(ROW)
    at = ["--url", tiny_url, "--model", "cvr"]
    assert module.main([*at, "--json", str(body)]) == 0
    assert set(json.loads(capsys.readouterr().out)["outputs"]) == {"ctr", "cvr", "ctcvr"}
    data = tmp_path / "rows.parquet"
    tiny.make_frame(5).to_parquet(data)
    assert module.main([*at, *schema, "--data", str(data), "--rows", "2"]) == 0
    assert len(json.loads(capsys.readouterr().out)["cvr"]) == 2
    assert module.main([*at, "--example"]) == 0
    assert set(json.loads(capsys.readouterr().out)["inputs"]) == set(ROW)


def test_csv_rows_are_read_by_the_types_of_the_model(tiny, tiny_run, tiny_url, tmp_path, capsys):
    frame = tiny.make_frame(3).assign(tags="x,y", tag_weights="1,0.5", segment=["NA", "007", " "])
    frame["shop"] = pd.array([2**53 + 1, 5, None], "Int64")  # a float would round the first
    frame["topics"] = "4,5"
    with Client(tiny_url, "cvr", tiny.SCHEMA) as client:
        expected = client.predict(frame)["cvr"]
        shown = client.builder.columns(read_rows(str(_csv(frame, tmp_path)), 3, None))
    assert shown["segment"] == ["NA", "007", ""]
    assert shown["shop"] == [2**53 + 1, 5, -1]
    at = ["--url", tiny_url, "--model", "cvr", "--schema", str(tiny_run / "schema.yaml")]
    assert module.main([*at, "--data", str(tmp_path / "rows.csv"), "--rows", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["cvr"] == pytest.approx(expected[:2], abs=1e-6)


def _csv(frame, folder):
    frame.to_csv(folder / "rows.csv", index=False, sep=";")
    return folder / "rows.csv"


def test_command_line_says_what_went_wrong(tiny_url, tmp_path, capsys):
    at = ["--url", tiny_url, "--model", "cvr"]
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([{"user": 1}]))
    assert module.main([*at, "--json", str(rows)]) == 2
    assert "row 0 lacks" in capsys.readouterr().err
    assert module.main(["--url", tiny_url, "--model", "nobody", "--status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: --model: must be served at {tiny_url}, received 'nobody';\n")
    assert "Could not find any versions of model nobody" in said
    assert module.main([*at, "--version", "2", "--json", str(rows)]) == 1
    assert "--model, --version: must be served" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('[{"user": 1}]', "--json: must be a file, or - for standard input, received [{"),
        ("bad.json", "--json: must be JSON, received bad.json: Expecting value: line 1 column 10"),
        ("latin.json", "--json: must be JSON in UTF-8, received latin.json: "),
        ("-", "--json: must be JSON, received standard input: Expecting value"),
        ("[" + "1" * 5000, "--json: must be a file, or - for standard input, received [1111"),
    ],
)
def test_a_body_that_cannot_be_read_names_its_option(given, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("rows"))
    (tmp_path / "bad.json").write_text('{"user": }')
    (tmp_path / "latin.json").write_bytes(b'{"user": "\xe9"}')
    assert module.main(["--json", given]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_grpc_without_the_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "grpc", None)
    with pytest.raises(ImportError, match="gRPC needs grpcio"):
        Client("grpc://127.0.0.1:8500", "cvr")


@pytest.mark.job
def test_grpc_round_trip(tiny, tiny_base, expected):
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from idefn_tf.export import Scorer

    scorer = Scorer(tiny_base / "1")

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        """Answers as tensorflow_model_server does, from the exported version."""

        def Predict(self, request, context):
            if request.model_spec.name != "cvr":
                context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            answer = predict_pb2.PredictResponse()
            for name, values in scorer.run(inputs, request.model_spec.signature_name).items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(values))
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"grpc://127.0.0.1:{port}", "cvr", tiny.SCHEMA) as client:
            found = client.predict(tiny.make_frame(200, seed=2))
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6)
        with (
            Client(f"grpc://127.0.0.1:{port}", "other", tiny.SCHEMA) as client,
            pytest.raises(NotFoundError, match="Servable not found"),
        ):
            client.predict(ROW)
    finally:
        server.stop(None)
        scorer.close()
