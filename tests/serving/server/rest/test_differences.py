"""The differences from TensorFlow Serving that the package's docstring owns up to, one by one."""

from typing import Any

import pytest

import serving.server


def test_they_are_written_down() -> None:
    text = " ".join((serving.server.__doc__ or "").split())
    for words in (
        'two equal keys in a row of "instances" the first counts',
        "Cannot feed value of shape",
        "more than 32 dimensions are refused",
        "signatures of a MultiInference may have input tensors of their own",
        "of more than 256 characters by its beginning and its length",
        "the last one goes on answering",
    ):
        assert words in text


def test_equal_keys_in_a_row(conformance_server: Any) -> None:
    found = conformance_server.predict("half_plus_two", '{"instances": [{"x": 1, "x": 2}]}')
    assert found.json == {"predictions": [3.5]}


def test_shapes(conformance_server: Any) -> None:
    found = conformance_server.predict("matrix", {"instances": [[1, 2], [3, 4]]})
    assert found.status == 400
    assert found.error.startswith("Cannot feed value of shape (2, 2) for Tensor ")
    row = {"user": ["a"], "age": [1], "price": [0.5]}
    found = conformance_server.predict("multi", {"instances": [row]})
    assert found.error.startswith("Cannot feed value of shape (1, 1) for Tensor ")


def test_too_many_dimensions(conformance_server: Any) -> None:
    deep = "[" * 40 + "1.0" + "]" * 40
    found = conformance_server.predict("half_plus_two", f'{{"inputs": {deep}}}')
    assert found.error == "tensor parsing error: x"
    deep = "[" * 20_000 + "1.0" + "]" * 20_000
    found = conformance_server.predict("half_plus_two", f'{{"inputs": {deep}}}')
    assert found.error == "tensor parsing error: x"


LONG = "k" * 1_000_000
CUT = "k" * 256 + "... (1,000,000 characters)"


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("half_plus_two:predict", {"instances": [{LONG: 1}]}, "does not have named input: {cut}"),
        ("half_plus_two:predict", {"signature_name": LONG, "inputs": 1}, '"{cut}" not found'),
        ("half_plus_two:classify", {"signature_name": LONG, "examples": [{}]}, "name: {cut}"),
        ("half_plus_two:classify", {"examples": [{LONG: None}]}, "Feature: {cut} has element"),
        ("half_plus_two:classify", {"examples": [{LONG: [1, "a"]}]}, "in feature: {cut} expecting"),
        ("half_plus_two:classify", {"examples": [{LONG: 2**63}]}, "Feature: {cut} has uint64"),
    ],
)
def test_a_key_of_a_megabyte_is_cut(
    conformance_server: Any, path: str, body: Any, message: str
) -> None:
    found = conformance_server.ask("POST", f"/v1/models/{path}", body)
    assert found.status == 400
    assert message.format(cut=CUT) in found.error
    assert len(found.body) < 1_000


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{long}", "Could not find any versions of model {cut}"),
        ("{long}/metadata", "Servable not found for request: Latest({cut})"),
        ("half_plus_two/labels/{long}/metadata", "Unrecognized servable version label: {cut}"),
    ],
)
def test_an_address_of_many_kilobytes_is_cut(
    conformance_server: Any, path: str, message: str
) -> None:
    found = conformance_server.ask("GET", "/v1/models/" + path.format(long="m" * 20_000))
    assert found.error == message.format(cut="m" * 256 + "... (20,000 characters)")


def test_a_malformed_address_is_cut_and_a_version_of_many_digits_is_none(
    conformance_server: Any,
) -> None:
    found = conformance_server.ask("GET", "/v1/" + "m" * 20_000)
    start = "Malformed request: GET /v1/" + "m" * 252
    assert found.error == start + "... (20,004 characters)"
    found = conformance_server.ask("GET", "/v1/models/half_plus_two/versions/" + "9" * 20_000)
    assert (found.status, found.body) == (400, b"")  # as beyond int64


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("half_plus_two:predict", b'{"instances": [{"caf\xe9": 1}]}'),
        ("half_plus_two:predict", b'{"signature_name": "caf\xe9", "instances": [1]}'),
        ("half_plus_two:predict", b'{"instances": ["caf\xe9"]}'),
        ("half_plus_two:classify", b'{"examples": [{"caf\xe9": null}]}'),
        ("half_plus_two:classify", b'{"examples": [{"caf\xe9": 1}]}'),
        ("caf%E9:predict", b'{"instances": [1]}'),
    ],
)
def test_errors_are_valid_utf_8(conformance_server: Any, path: str, body: bytes) -> None:
    found = conformance_server.ask("POST", f"/v1/models/{path}", body)
    assert found.status in (400, 404), found.body
    assert "caf\ufffd" in found.error  # read as strict UTF-8


def test_batched_without_being_asked(conformance_server: Any, http_tools: Any) -> None:
    """Sixteen clients at once: fewer runs of the graph than requests, and every answer its own."""
    page = "/monitoring/prometheus/metrics"
    line = ':tensorflow:serving:runtime_latency_count{model_name="multi",API="Predict"'

    def runs() -> int:
        text = conformance_server.ask("GET", page).body.decode()
        return sum(int(x.rsplit(" ", 1)[1]) for x in text.splitlines() if x.startswith(line))

    wrong: list[Any] = []

    def client(number: int) -> None:
        for step in range(20):
            row = {"user": f"u{number}", "age": number, "price": float(step)}
            found = conformance_server.predict("multi", {"instances": [row] * (1 + number % 3)})
            got = found.json["predictions"]
            if [round(r["cvr"], 3) for r in got] != [round(0.01 * number + step, 3)] * len(got):
                wrong.append((row, got))

    before = runs()
    threads = [http_tools.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 0 < runs() - before <= 320
