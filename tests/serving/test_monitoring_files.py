"""Health check, rules and scrape config say what the server's own page says."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from benchmarks.common.free_ports import free_ports
from serving.common import config as server_config

ROOT = Path(__file__).resolve().parents[2] / "serving" / "tensorflow_serving"


def documents(path):
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d]


@pytest.fixture(scope="module")
def monitored(tiny_base, embedded):
    """A server with the metrics page of monitoring.config."""
    return embedded(
        "--model_name=cvr", f"--model_base_path={tiny_base}",
        f"--monitoring_config_file={ROOT / 'monitoring.config'}",
    )  # fmt: skip


def test_health_check_tells_a_loaded_model_from_none(monitored):
    (compose,) = documents(ROOT / "compose.yaml")
    _, shell, option, script = compose["services"]["server"]["healthcheck"]["test"]

    def run(port, model="cvr"):
        text = script.replace("$$", "$").replace("8501", str(port)).replace("/cvr/", f"/{model}/")
        return subprocess.run([shell, option, text], capture_output=True, timeout=20).returncode

    port = urlsplit(monitored).port
    (closed,) = free_ports(1)
    assert run(port) == 0
    assert run(port, "nobody") != 0
    assert run(closed) != 0


#: The form of a rule file, after Prometheus' documentation of recording and alerting rules.
_DURATION = {"type": "string", "pattern": r"^(\d+(ms|[smhdwy]))+$"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
RULES = {
    "type": "object",
    "required": ["groups"],
    "additionalProperties": False,
    "properties": {
        "groups": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "rules"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "interval": _DURATION,
                    "rules": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["expr"],
                            "additionalProperties": False,
                            "oneOf": [{"required": ["record"]}, {"required": ["alert"]}],
                            "properties": {
                                "record": {"type": "string", "pattern": "^[a-zA-Z_:][\\w:]*$"},
                                "alert": {"type": "string"},
                                "expr": {"type": "string"},
                                "for": _DURATION,
                                "labels": _TEXTS,
                                "annotations": _TEXTS,
                            },
                        },
                    },
                },
            },
        }
    },
}


def rules():
    (found,) = documents(ROOT / "prometheus-rules.yaml")
    return [rule for group in found["groups"] for rule in group["rules"]]


def test_rules_have_the_form_of_prometheus_rules():
    jsonschema.validate(documents(ROOT / "prometheus-rules.yaml")[0], RULES)
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"]


def test_rules_are_promql_over_metrics_that_exist(monitored, tiny):
    promql_parser = pytest.importorskip("promql_parser")
    import requests

    from serving.client import Client

    url = monitored
    Client(url, "cvr", tiny.SCHEMA).predict(tiny.make_frame(3))
    page = requests.get(f"{url}/monitoring/prometheus/metrics", timeout=10).text
    exported = set(re.findall(r"^([\w:]+)\{", page, re.MULTILINE))
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = set()
    for rule in rules():
        promql_parser.parse(rule["expr"])  # raises where it is none
        used |= set(re.findall(r"[\w]*:[\w:]+", rule["expr"]))
    assert used - recorded == {
        ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_bucket",
    }  # fmt: skip
    assert used - recorded <= exported
    assert 'model_name="cvr"' in page
    with pytest.raises(ValueError):
        promql_parser.parse("rate(x[5m)")


def test_prometheus_reads_the_rules_and_the_servers_page():
    (found,) = documents(ROOT / "prometheus.yaml")
    (rule_file,) = found["rule_files"]
    assert (ROOT / rule_file).is_file()
    (job,) = found["scrape_configs"]
    assert job["job_name"] == "cvr"  # what absent(up{job="cvr"}) asks for
    assert job["metrics_path"] == server_config.read_monitoring_config(
        str(ROOT / "monitoring.config")
    )
