"""The differences from TensorFlow Serving that the package's docstring owns up to, one by one."""

from typing import Any

import serving.server


def test_they_are_written_down() -> None:
    text = " ".join((serving.server.__doc__ or "").split())
    for words in (
        'two equal keys in a row of "instances" the first counts',
        "Cannot feed value of shape",
        "more than 32 dimensions are refused",
        "There is no gRPC",
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
