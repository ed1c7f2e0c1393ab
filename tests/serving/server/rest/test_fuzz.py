"""Fuzzed requests over a real socket: no crash, no stack trace, and no 200 that is wrong."""

import http.client
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def load_rules() -> Any:
    path = Path(__file__).parents[2] / "conformance" / "plain_rules.py"
    spec = importlib.util.spec_from_file_location("plain_rules", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rules = load_rules()

MODELS = {
    "half_plus_two": {"x": "float32"},
    "echo": {"s": "string"},
    "dtypes": {
        "b": "bool",
        "f32": "float32",
        "f64": "float64",
        "i32": "int32",
        "i64": "int64",
        "u8": "uint8",
    },
}
ANY_RANK = {"half_plus_two", "echo"}
FAST = settings(max_examples=120, deadline=None)
LONG = settings(
    max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.data_too_large]
)
Ask = Callable[[str, str, bytes], tuple[int, bytes]]


@pytest.fixture(scope="module")
def ask(conformance_server: Any) -> Any:
    """Sends on one kept connection; opens another when the server has closed it."""
    parts = urlsplit(conformance_server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)

    def send(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            connection.close()
            connection.request(method, path, body)
            answer = connection.getresponse()
        data = answer.read()
        assert answer.getheader("Content-Type") == "application/json"
        return answer.status, data

    yield send
    connection.close()
    assert conformance_server.process.poll() is None
    assert "Traceback" not in conformance_server.log


def check_refusal(status: int, body: bytes) -> None:
    assert status in (400, 404, 501), (status, body)
    message = json.loads(body.decode("utf-8", "replace"))["error"]
    assert "Traceback" not in message
    assert 'File "' not in message
    assert "Internal error" not in message


def flat(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    return [leaf for inner in value for leaf in flat(inner)]


def same(kind: str, want: Any, got: Any) -> bool:
    if kind == "string":
        return want.decode("utf-8", "replace") == got
    if kind == "bool" or "int" in kind:
        return want == got and type(got) is type(want)
    if math.isnan(want):
        return math.isnan(got)
    if kind == "float64":  # RapidJSON, used where NaN or Infinity occurs, may be off by one unit
        return math.isclose(got, want, rel_tol=4e-16, abs_tol=5e-324)
    return bool(rules.plain_leaf(float(got), kind) == want)


def answer_for(model: str, name: str, kind: str, leaf: Any) -> Any:
    if model != "half_plus_two":
        return leaf
    return rules.plain_leaf(rules.plain_leaf(0.5 * leaf, kind) + 3.0, kind)


def check_predict(ask: Ask, model: str, document: Any) -> None:
    """Holds an answer against the plain rules."""
    kinds = MODELS[model]
    path = f"/v1/models/{model}:predict"
    status, body = ask("POST", path, json.dumps(document).encode())
    try:
        expected = rules.plain_request(document, kinds)
    except rules.RefusedError:
        check_refusal(status, body)
        return
    ranks = {len(shape) for shape, _ in expected.values()}
    if model not in ANY_RANK and ranks != {1}:
        check_refusal(status, body)
        return
    rows = "instances" in document
    if status != 200:
        check_refusal(status, body)
        message = json.loads(body.decode("utf-8", "replace"))["error"]
        assert "surrogate" in message or "invalid batch size" in message, message
        return
    found = json.loads(body.decode("utf-8", "replace"))["predictions" if rows else "outputs"]
    for name, (_, leaves) in expected.items():
        key = {"x": "y", "s": "out"}.get(name, f"{name}_out")
        if len(kinds) == 1:
            got = flat(found)
        elif rows:
            got = [leaf for row in found for leaf in flat(row[key])]
        else:
            got = flat(found[key])
        wanted = [answer_for(model, name, kinds[name], leaf) for leaf in leaves]
        assert len(got) == len(wanted)
        for want, value in zip(wanted, got, strict=True):
            assert same(kinds[name], want, value), (document, want, value)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, Any]:
    model = draw(st.sampled_from(sorted(MODELS)))
    kinds = MODELS[model]
    by_kind = {
        "float32": st.floats(width=32) | st.integers(-1000, 1000),
        "float64": st.floats() | st.integers(-1000, 1000),
        "string": st.text(max_size=4),
        "bool": st.booleans(),
        "uint8": st.integers(0, 255) | st.integers(-1, 300),
    }
    count = draw(st.integers(1, 3))

    def column(kind: str) -> list[Any]:
        mostly = by_kind.get(kind, st.integers(-(2**31), 2**31 - 1))
        if not draw(st.integers(0, 20)):
            mostly = rules.leaves
        return draw(st.lists(mostly, min_size=count, max_size=count))

    columns = {name: column(kind) for name, kind in kinds.items()}
    form = draw(st.sampled_from(["rows", "columns", "any"]))
    if form == "any":
        return model, draw(
            st.fixed_dictionaries({"instances": rules.tensor_values})
            | st.fixed_dictionaries({"inputs": rules.tensor_values})
            | st.dictionaries(st.sampled_from(["instances", "inputs", "z"]), rules.tensor_values)
        )
    if form == "columns":
        return model, {"inputs": columns}
    return model, {"instances": [{name: columns[name][i] for name in kinds} for i in range(count)]}


@FAST
@given(documents())
def test_no_wrong_200(ask: Ask, drawn: tuple[str, Any]) -> None:
    check_predict(ask, *drawn)


def damaged(draw: st.DrawFn, document: Any) -> bytes:
    """Something that was a request once, or never was."""
    if not draw(st.integers(0, 4)):
        return draw(st.binary(max_size=60))
    body = json.dumps(document).encode()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=4)) + body[place + draw(st.integers(0, 3)) :]
    return body


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, Any, bytes]:
    """A model, a request for it, and the request damaged: drawing is what such a test costs."""
    model, document = draw(documents())
    return model, document, damaged(draw, document)


VERBS = ["predict", "predict", "classify", "regress"]


@FAST
@given(pairs(), st.sampled_from(sorted([*MODELS, "multi", "examples"])), st.sampled_from(VERBS))
def test_damaged_bodies(ask: Ask, drawn: tuple[str, Any, bytes], model: str, verb: str) -> None:
    _, _, body = drawn
    status, answer = ask("POST", f"/v1/models/{model}:{verb}", body)
    if status != 200:
        check_refusal(status, answer)
    else:
        json.loads(answer.decode("utf-8", "replace"))


@pytest.mark.slow
@LONG
@given(pairs(), st.sampled_from(["multi", "examples", "dtypes"]))
def test_ten_thousand_requests(ask: Ask, drawn: tuple[str, Any, bytes], model: str) -> None:
    """Two an example."""
    *whole, body = drawn
    check_predict(ask, *whole)
    status, answer = ask("POST", f"/v1/models/{model}:predict", body)
    if status != 200:
        check_refusal(status, answer)


examples = st.fixed_dictionaries(
    {
        "examples": st.lists(
            st.dictionaries(st.sampled_from(["x", "tag", "y"]), rules.tensor_values)
        )
    },
    optional={
        "context": st.dictionaries(st.sampled_from(["x", "tag"]), rules.leaves),
        "signature_name": st.sampled_from(["classify_x_to_y", "regress_x_to_y", "", "nope"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(examples, st.sampled_from(["classify", "regress"]))
def test_examples(ask: Ask, request_: Any, verb: str) -> None:
    status, answer = ask("POST", f"/v1/models/examples:{verb}", json.dumps(request_).encode())
    if status == 200:
        assert len(json.loads(answer)["results"]) == len(request_["examples"])
    else:
        check_refusal(status, answer)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20))
def test_paths(ask: Ask, tail: str) -> None:
    status, answer = ask("POST", f"/v1/models/{tail}", b'{"instances": [1.0]}')
    if answer:
        assert "error" in json.loads(answer.decode("utf-8", "replace"))
    assert status in (400, 404)
