"""The metrics page: TensorFlow Serving's names and layout, and counts that add up."""

import re
from pathlib import Path
from typing import Any

from serving.server.metrics import LIMITS, Metrics

PAGE = "/monitoring/prometheus/metrics"
SAMPLE = re.compile(r"(:?[\w:]+)\{((?:\w+=\"(?:[^\"\\]|\\.)*\",?)*)\} ([-+.\deInf]+)")


def samples(text: str) -> dict[tuple[str, str], float]:
    """Values by metric and labels; every line must be a sample or a type."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        found[match[1], match[2]] = float(match[3])
    return found


def test_histograms_count_by_microseconds() -> None:
    assert LIMITS[0] == 10
    assert len(LIMITS) == 33
    metrics = Metrics()
    for micros in (5, 9.99, 17, 20, 1e12):
        metrics.request("m", "predict", micros / 1e6)
    text = metrics.page().decode()
    found = samples(text)
    name = ":tensorflow:serving:request_latency"
    labels = 'model_name="m",API="predict",entrypoint="REST"'

    def bucket(limit: str) -> float:
        return found[f"{name}_bucket", f'{labels},le="{limit}"']

    assert bucket("10") == 2
    assert bucket("18") == 3
    assert bucket("32.4") == 4
    assert bucket("+Inf") == 5
    assert found[f"{name}_count", labels] == 5
    assert len([key for key in found if key[0] == f"{name}_bucket"]) == 34
    assert f"# TYPE {name} histogram" in text


def test_a_sum_keeps_all_its_digits() -> None:
    """With six digits a counter of a day's microseconds stood still."""
    metrics = Metrics()
    metrics.request("m", "predict", 86_400.0)
    metrics.request("m", "predict", 0.000_123)
    found = samples(metrics.page().decode())
    labels = 'model_name="m",API="predict",entrypoint="REST"'
    assert found[":tensorflow:serving:request_latency_sum", labels] == 86_400_000_123.0


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.count('a"b\\c', "OK")
    assert b'{model_name="a\\"b\\\\c",status="OK"} 1\n' in metrics.page()


def test_requests_are_counted(conformance_server: Any) -> None:
    def counts() -> dict[tuple[str, str], float]:
        found = conformance_server.ask("GET", PAGE)
        assert found.status == 200
        assert found.headers["content-type"].startswith("text/plain")
        return samples(found.body.decode())

    def change(name: str, labels: str) -> float:
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    before = counts()
    for _ in range(3):
        conformance_server.predict("multi", {"instances": [{"user": "a", "age": 1, "price": 2}]})
    conformance_server.predict("multi", "oops")
    path = "/v1/models/examples:regress"
    body = {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]}
    conformance_server.ask("POST", path, body)
    for number in range(5):  # names that do not exist must not fill the memory
        conformance_server.predict(f"no_such_model_{number}", {"instances": [1]})
    after = counts()
    count, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
    assert change(count, 'model_name="multi",status="OK"') == 3
    assert change(count, 'model_name="multi",status="INVALID_ARGUMENT"') == 1
    assert change(f"{latency}_count", 'model_name="multi",API="predict",entrypoint="REST"') == 3
    assert change(f"{latency}_count", 'model_name="examples",API="regress",entrypoint="REST"') == 1
    runtime = ":tensorflow:serving:runtime_latency_count"
    assert change(runtime, 'model_name="multi",API="Predict",runtime="TF1"') == 3
    assert change(runtime, 'model_name="examples",API="Regress",runtime="TF1"') == 1
    assert not any("no_such_model" in labels for _, labels in after)


def test_the_page_may_be_elsewhere(start_server: Any, model_folder: Path, tmp_path: Path) -> None:
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text('prometheus_config: { enable: true, path: "/metrics" }')
    server = start_server(
        "--model_name=echo",
        f"--model_base_path={model_folder / 'echo'}",
        f"--monitoring_config_file={monitoring}",
    )
    assert b"# TYPE :tensorflow:serving:request_count counter" in server.ask("GET", "/metrics").body
    assert server.ask("GET", PAGE).status == 404
