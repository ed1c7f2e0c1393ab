"""Every deployment file is what its owner says it must be, and they agree with each other."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from serving.common import config as server_config
from serving.server import flags

ROOT = Path(__file__).resolve().parents[2] / "serving" / "tensorflow_serving"
KUBERNETES = sorted((ROOT / "kubernetes").glob("*.yaml"))


def documents(path):
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d]


def every_manifest():
    return [(path, document) for path in KUBERNETES for document in documents(path)]


def deployments():
    return {d["metadata"]["name"]: d for _, d in every_manifest() if d["kind"] == "Deployment"}


def server_of(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def test_models_config_is_the_owners_message():
    pytest.importorskip("tensorflow_serving")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (ROOT / "models.config").read_text()
    message = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = message.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == (
        "cvr", "/models/cvr", "tensorflow",
    )  # fmt: skip
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)
    assert dict(model.version_labels) == {"stable": 1}


def test_embedded_server_reads_the_same_files():
    (model,) = server_config.read_model_config(str(ROOT / "models.config"))
    assert model.labels == (("stable", 1),)
    page = server_config.read_monitoring_config(str(ROOT / "monitoring.config"))
    assert page == "/monitoring/prometheus/metrics"
    batching = server_config.read_batching_config(str(ROOT / "batching.config"))
    assert batching.max_batch_size >= 1000  # what one request of the client may hold
    assert batching.batch_timeout_micros == 0


def test_batching_config_has_the_owners_fields():
    """The fields of BatchingParameters, which no package on PyPI carries as a message."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
    from google.protobuf.wrappers_pb2 import DESCRIPTOR as WRAPPERS

    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", package="t", syntax="proto3", dependency=[WRAPPERS.name]
    )
    message = file.message_type.add(name="BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(names, start=1):
        message.field.add(
            name=name, number=number, type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            type_name=".google.protobuf.Int64Value",
        )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(WRAPPERS.serialized_pb)
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.BatchingParameters"))
    parsed = text_format.Parse((ROOT / "batching.config").read_text(), kind())
    assert {name: getattr(parsed, name).value for name in names} == {
        "max_batch_size": 1024,
        "batch_timeout_micros": 0,
        "max_enqueued_batches": 64,
        "num_batch_threads": 4,
    }


@pytest.mark.parametrize(
    ("path", "document"),
    every_manifest(),
    ids=lambda v: v.name if isinstance(v, Path) else v["kind"],
)
def test_manifest_is_valid_kubernetes(path, document):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for version in ("1.30", "1.37"):
        kubernetes_validate.validate(document, version, strict=True)


def test_validation_can_fail():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    broken = json.loads(json.dumps(deployments()["cvr-stable"]))
    server_of(broken)["readinessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.37", strict=True)


def test_manifests_fit_together():
    found = deployments()
    assert set(found) == {"cvr-stable", "cvr-canary"}
    by_kind = {(d["kind"], d["metadata"]["name"]): d for _, d in every_manifest()}
    for deployment in found.values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        service = by_kind["Service", "cvr"]["spec"]
        assert service["selector"].items() <= labels.items()  # both tracks behind one name
        ports = {p["name"] for p in server_of(deployment)["ports"]}
        assert {p["targetPort"] for p in service["ports"]} <= ports
        for volume in deployment["spec"]["template"]["spec"]["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in by_kind
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in by_kind
    assert by_kind["Service", "cvr-canary"]["spec"]["selector"]["track"] == "canary"
    scaled = by_kind["HorizontalPodAutoscaler", "cvr-stable"]["spec"]["scaleTargetRef"]["name"]
    assert scaled in found
    assert "replicas" not in found[scaled]["spec"]  # the autoscaler's, not ours
    assert found["cvr-canary"]["spec"]["replicas"] == 0
    budget = by_kind["PodDisruptionBudget", "cvr-stable"]["spec"]["selector"]["matchLabels"]
    assert budget.items() <= found[scaled]["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", ["cvr-stable", "cvr-canary"])
def test_pods_are_ready_when_a_version_is_loaded(name):
    server = server_of(deployments()[name])
    for probe in ("startupProbe", "readinessProbe"):
        assert server[probe]["httpGet"]["path"] == "/v1/models/cvr/metadata"
    assert "httpGet" not in server["livenessProbe"]
    assert server["resources"]["requests"]["memory"]
    assert server["resources"]["limits"]["memory"]


def test_tracks_differ_in_their_models_config_alone():
    stable, canary = (server_of(deployments()[f"cvr-{t}"]) for t in ("stable", "canary"))
    differing = [a for a in stable["args"] if a not in canary["args"]]
    assert differing == ["--model_config_file=/models/models.config"]
    assert {k: v for k, v in stable.items() if k != "args"} == {
        k: v for k, v in canary.items() if k != "args"
    }


def test_config_map_holds_the_files_of_this_folder():
    (found,) = documents(ROOT / "kubernetes" / "config.yaml")
    for name, text in found["data"].items():
        own = (ROOT / name).read_text()
        assert text == "".join(line + "\n" for line in own.splitlines() if not line.startswith("#"))


def commands():
    yield "compose", documents(ROOT / "compose.yaml")[0]["services"]["server"]["command"]
    for name, deployment in deployments().items():
        yield name, server_of(deployment)["args"]


@pytest.mark.parametrize(
    ("name", "arguments"), list(commands()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_flags_are_those_of_tensorflow_model_server(name, arguments):
    found = flags.parse(arguments)  # ends with status 2 on a flag that it does not know
    assert found.rest_api_port == 8501
    assert found.enable_batching is True
    assert found.model_config_file_poll_wait_seconds > 0  # or no promotion would be seen


def test_compose_file_is_valid_compose():
    package = pytest.importorskip("check_jsonschema")
    schema = Path(package.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    (compose,) = documents(ROOT / "compose.yaml")
    assert list(validator.iter_errors(compose)) == []
    assert list(validator.iter_errors({**compose, "servces": {}})) != []
    ports = compose["services"]["server"]["ports"]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def check_openapi(value, kind, find, at="$"):
    """Checks a value against generated OpenAPI model classes, unknown keys included."""
    container = re.match(r"(list|dict)[\[(](?:str, )?(.+)[\])]$", kind)
    if container:
        items = enumerate(value) if container[1] == "list" else value.items()
        for key, item in items:
            check_openapi(item, container[2], find, f"{at}[{key}]")
        return
    cls = find(kind)
    if cls is None:
        plain = {"str": str, "int": int, "bool": bool, "float": (int, float)}
        assert kind not in plain or isinstance(value, plain[kind]), f"{at}: {value!r} is no {kind}"
        return
    names = {json_name: name for name, json_name in cls.attribute_map.items()}
    assert set(value) <= set(names), f"{at}: unknown {set(value) - set(names)}"
    for key, item in value.items():
        check_openapi(item, cls.openapi_types[names[key]], find, f"{at}.{key}")
    cls(**{names[key]: item for key, item in value.items()})  # raises where a key is missing


def test_kserve_file_is_an_inference_service():
    """Against the owner's classes where the kserve package is installed."""
    pytest.importorskip("kserve")
    import kserve.models
    import kubernetes.client.models

    def find(name):
        for module in (kserve.models, kserve, kubernetes.client.models):
            cls = getattr(module, name, None)
            if hasattr(cls, "openapi_types"):
                return cls
        return None

    check_openapi(documents(ROOT / "kserve.yaml")[0], "V1beta1InferenceService", find)


def test_kserve_predictor_is_a_valid_container():
    """The model's own keys apart, KServe's predictor is a Kubernetes container."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    (service,) = documents(ROOT / "kserve.yaml")
    assert (service["apiVersion"], service["kind"]) == (
        "serving.kserve.io/v1beta1", "InferenceService",
    )  # fmt: skip
    model = dict(service["spec"]["predictor"]["model"])
    assert model.pop("modelFormat") == {"name": "tensorflow"}
    assert model.pop("protocolVersion") == "v1"
    claim = model.pop("storageUri").removeprefix("pvc://").split("/")[0]
    volumes = [d for _, d in every_manifest() if d["kind"] == "PersistentVolumeClaim"]
    assert claim in {d["metadata"]["name"] for d in volumes}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "predictor"},
        "spec": {"containers": [{"name": "server", "image": "x", **model}]},
    }
    kubernetes_validate.validate(pod, "1.37", strict=True)
