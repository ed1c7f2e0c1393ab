"""Experiment configs: every key checked when read, presets, overrides, the JSON Schema."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from idefn_tf.models.presets import get_preset
from idefn_tf.schema import Schema, strict_yaml
from pipelines import train
from pipelines.experiment.build import build_model
from pipelines.experiment.config import Config

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "pipelines" / "configs").glob("*/*.yaml"))
SHIPPED = str(ROOT / "pipelines" / "configs" / "simulated" / "idefn.yaml")
SCHEMA = ROOT / "schemas" / "config.json"
TRANSPORT = (
    "['capacity', 'cost', 'epsilon', 'holdout_positives', 'jit_compile', 'label_value', 'memory', "
    "'memory_age', 'normalize', 'rejection_price', 'scale', 'seed', 'solver', 'steps', "
    "'warmup_steps'] (TransportOptions)"
)
ROW_SPARSE_ADAM = (
    "['amsgrad', 'beta_1', 'beta_2', 'clipnorm', 'clipvalue', 'ema_momentum', "
    "'ema_overwrite_frequency', 'epsilon', 'global_clipnorm', 'gradient_accumulation_steps', "
    "'l2_rows', 'lazy', 'learning_rate', 'loss_scale_factor', 'name', 'use_ema', 'weight_decay'] "
    "(RowSparseAdam)"
)
RATE = "a finite number above 0 or a schedule {class_name: ..., config: {...}} of Keras"
COSINE = "{class_name: CosineDecay, config: {initial_learning_rate: 1e-3, decay_steps: 10}}"


@pytest.fixture(scope="module")
def tiny_data():
    """A schema of one embedded feature and a number, and its vocabularies: none."""
    user = {"name": "user", "dtype": "int64", "side": "user", "kind": "identity", "num_buckets": 5}
    price = {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"}
    labels = {"click": "is_click", "conversion": "is_buy"}
    return Schema.parse({"name": "tiny", "labels": labels, "features": [user, price]}), {}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_shipped_config_loads_and_survives_saving(path, tmp_path):
    config = Config.load(path)
    config.save(tmp_path / "config.yaml")
    # a run's config says what was trained; what a search may try stays in the search's own file
    assert Config.load(tmp_path / "config.yaml") == config.model_copy(update={"tuning": None})


def test_an_override_reaches_any_depth_and_is_typed(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("method: all_negative\n")
    config = Config.load(path, ["model.gamma=7", "backbone.units=[8, 4]", "training.epochs=3"])
    assert config.model == {"gamma": 7}
    assert config.backbone["units"] == [8, 4]
    assert config.training.epochs == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: esmm\nmodle: {}\n", r"c\.yaml:2: modle: unknown key"),
        ("method: esmm\nmethod: esmm\n", r"c\.yaml:2: the key 'method' is given twice"),
        ("method: esmn\n", r"method: must be one of .*received 'esmn'"),
        ("method: esmm\nmodel: {kappa: 1}\n", r"c\.yaml:2: model\.kappa: unknown key.*\(ESMM\)"),
        ("method: esmm\ntraining:\n  epochs: 0\n", r"c\.yaml:3: training\.epochs"),
        ("method: esmm\ntraining: {monitor: {space: oracle}}\n", r"training\.monitor\.space"),
        ("{}\n", r"method: is required"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Config.load(path)


@pytest.mark.parametrize("override", ["model.gamma", "=3", "method.deep=3", "model.gamma=["])
def test_an_override_of_another_form_is_refused(tmp_path, override):
    path = tmp_path / "c.yaml"
    path.write_text("method: all_negative\n")
    with pytest.raises(ValueError, match="--set"):
        Config.load(path, [override])
    path.write_text("- 1\n")
    with pytest.raises(ValueError, match="must be a group of keys"):
        Config.load(path, ["model.gamma=1"])


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (
            "model.transport.kappa",
            ".01",
            f"unknown key, must be one of {TRANSPORT}, received 'kappa'; write it beside "
            "`transport`, not in it",
        ),
        ("model.gamma", "abc", "must be a finite number above 0, received 'abc'; leave it out fo"),
        ("model.transport", "5", "must be a group of keys or none, received 5; leave it out for "),
        ("features.embedding_stddev", "x", "must be a finite number at least 0, received 'x'; le"),
        (
            "model.transport.solver",
            "exact",
            "must be one that XLA compiles, such as 'proximal' or 'newton', received 'exact'; it "
            "is a network simplex in NumPy, for idefn_tf.transport.match, or where jit_compile is "
            "false",
        ),
        (
            "model.transport.epsilonn",
            "1",
            f"unknown key, must be one of {TRANSPORT}, received 'epsilonn'; did you mean "
            "'epsilon'?",
        ),
        (
            "optimizer.learning_rte",
            "1",
            f"unknown key, must be one of {ROW_SPARSE_ADAM}, received 'learning_rte'; did you "
            "mean 'learning_rate'?",
        ),
        ("optimizer.learning_rate", "0", f"must be {RATE}, received 0; leave it out for 0.001"),
        ("optimizer.learning_rate", ".inf", f"must be {RATE}, received inf; leave it out for 0.0"),
        ("optimizer.learning_rate", "'1e-3'", f"must be {RATE}, received '1e-3'; leave it out fo"),
        ("optimizer.name", "row_sparse_adm", "received 'row_sparse_adm'; did you mean 'row_spars"),
        ("training.batch_size", "true", "must be a whole number from 1 to 2147483647, received T"),
        ("training.monitor.metric", "auc", "received 'auc'; did you mean 'cvr_auc'?"),
        ("trunk", "{name: mmoe, experts: 0}", "trunk.experts: must be a whole number from 1 to 2"),
        ("backbone.parity", "kers", "must be one of ['keras', 'published'], received 'kers'; did"),
        ("model.preset", "idef", "must be one of ['idefn', 'idefn-paper', 'idefn-paper-r2'], rec"),
        ("method", "esmm", "model.preset: must be left out of method 'esmm', received 'idefn'; "),
        (
            "methd",
            "esmm",
            "unknown key, must be one of ['backbone', 'encoder', 'features', 'feedb",
        ),
    ],
)
def test_a_value_that_cannot_be_is_told_with_the_overrides_text(key, value, told):
    with pytest.raises(ValueError) as caught:
        Config.load(SHIPPED, [f"{key}={value}"])
    said = str(caught.value)
    if key == "method":
        assert said.startswith(f"{SHIPPED}:7: ")
    else:
        assert said.startswith(f"--set {key}={value}: {key}")
    assert told in said
    assert "\n" not in said


def test_all_that_is_wrong_is_told_at_once_each_with_its_line(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "method: idefn\nmodel:\n  gamma: abc\n  transport:\n    epsilonn: 1\n"
        "optimizer:\n  learning_rate: -1\n"
    )
    with pytest.raises(ValueError) as caught:
        Config.load(path, ["model.alpha=2"])
    lines = sorted(str(caught.value).splitlines())
    assert [line.partition(": must")[0].partition(": unknown")[0] for line in lines] == [
        "--set model.alpha=2: model.alpha",
        f"{path}:3: model.gamma",
        f"{path}:5: model.transport.epsilonn",
        f"{path}:7: optimizer.learning_rate",
    ]


def test_floats_are_read_as_python_reads_them(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "method: idefn\nmodel: {gamma: 1e6, transport: {epsilon: 1E-12}}\n"
        "optimizer: {learning_rate: 1e-3}\n"
    )
    config = Config.load(path, ["model.alpha=5e-1", "optimizer.l2_rows=1e-12"])
    assert config.model == {"gamma": 1e6, "transport": {"epsilon": 1e-12}, "alpha": 0.5}
    assert config.optimizer == {"learning_rate": 0.001, "l2_rows": 1e-12}
    config.save(tmp_path / "saved.yaml")
    assert Config.load(tmp_path / "saved.yaml") == config
    for text in ("1e3", "a1e3", "1e", "0x1e3"):  # a text stays one, also through a file
        strict_yaml.write(tmp_path / "text.yaml", {"value": text})
        assert strict_yaml.read(tmp_path / "text.yaml").value == {"value": text}


def test_a_preset_stands_for_its_arguments_and_other_keys_go_before_them(tmp_path):
    config = Config.parse(
        {
            "method": "idefn",
            "model": {"preset": "idefn", "rule": "soft", "transport": {"warmup_steps": 3}},
        }
    )
    preset = get_preset("idefn")
    transport = {**preset["transport"], "warmup_steps": 3}
    assert config.model == {**preset, "rule": "soft", "transport": transport}
    config.save(tmp_path / "config.yaml")
    assert "preset" not in yaml.safe_load((tmp_path / "config.yaml").read_text())["model"]
    with pytest.raises(ValueError, match=r"^model\.kapa: unknown key"):
        Config.parse({"method": "idefn", "model": {"preset": "idefn", "kapa": 1}})


#: What the shipped configs said before they named presets.
BEFORE = {
    "kuairand/idefn": {"alpha": 0.5, "gamma": 30, "transport": 64},
    "simulated/idefn": {"alpha": 0.8, "gamma": 30, "transport": 35},
    "table/idefn": {"alpha": 0.8, "gamma": 30, "transport": 100},
}


@pytest.mark.parametrize("name", BEFORE)
def test_shipped_presets_are_what_the_configs_said_before(name):
    before = BEFORE[name]
    assert Config.load(ROOT / f"pipelines/configs/{name}.yaml").model == {
        "alpha": before["alpha"],
        "gamma": 30,
        "kappa": "auto",
        "marginals": "proportion",
        "rule": "top_k",
        "representation": "hidden",
        "transport": {
            "memory": 128,
            "warmup_steps": before["transport"],
            "normalize": True,
            "label_value": 0.1,
        },
    }


def test_a_configs_origin_is_no_part_of_its_value(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("method: esmm\n")
    assert Config.load(path) == Config.parse({"method": "esmm"})


@pytest.mark.parametrize("given", ["1e-3", COSINE])
@pytest.mark.parametrize("name", ["row_sparse_adam", "adam", "SGD"])
def test_a_schedule_and_a_keras_optimizer_reach_the_model(given, name, tiny_data):
    value = {"method": "esmm", "backbone": {"name": "mlp", "units": [4]}}
    value["optimizer"] = {"name": name, "learning_rate": strict_yaml.parse(given).value}
    model = build_model(Config.parse(value), *tiny_data)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: {representation: colour}", "c.yaml:2: model.representation: must be of "),
        ("optimizer: {beta_1: 0.9999}", "c.yaml:2: optimizer: beta_1, beta_2: must satisfy"),
        ("optimizer: {use_ema: true}", "c.yaml:2: optimizer.use_ema: must be off, received True"),
        ("backbone: {name: deepfm}", "c.yaml:1: features: DeepFM pairs at least two embedded"),
        ("features: {shards: ['GPU:77']}", "c.yaml:2: features.shards: ['GPU:77'] must be among"),
    ],
)
def test_what_only_a_constructor_knows_has_its_place_too(tmp_path, text, told, tiny_data):
    path = tmp_path / "c.yaml"
    path.write_text(f"method: idefn\n{text}\n")
    config = Config.load(path)
    with pytest.raises(ValueError) as caught:
        build_model(config, *tiny_data)
    assert told in str(caught.value)


@pytest.mark.parametrize("override", ["model.gamma=abc", "optimizer.learning_rte=1", "model=5"])
def test_the_job_ends_with_status_2_and_no_traceback(override, tmp_path, capsys):
    words = ["--config", SHIPPED, "--data", str(tmp_path / "absent"), "--out", str(tmp_path / "o")]
    assert train.main([*words, "--set", override]) == 2
    said = capsys.readouterr().err
    assert f"--set {override}: " in said.replace("\n", " ")
    assert "Traceback" not in said
    assert "absent" not in said  # before any data is looked for
    assert not (tmp_path / "o").exists()


# -- the JSON Schema --------------------------------------------------------------------------


def test_the_json_schema_is_fresh():
    fresh = json.loads(json.dumps(Config.json_schema()))
    assert json.loads(SCHEMA.read_text()) == fresh, (
        "schemas/config.json is stale; write json.dumps(Config.json_schema(), indent=1, "
        "sort_keys=True) to it"
    )


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_shipped_configs_are_valid_under_the_json_schema(path):
    document = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    jsonschema.validate(strict_yaml.read(path).value, document)


@pytest.mark.parametrize(
    "broken",
    [
        {"method": "idfn"},
        {"method": "esmm", "model": {"kappa": 1}},
        {"method": "idefn", "model": {"transport": {"epsilonn": 1}}},
        {"method": "idefn", "model": {"gamma": "x"}},
        {"method": "idefn", "model": {"preset": "idef"}},
        {"method": "esmm", "backbone": {"name": "mlp", "unit": [1]}},
        {"method": "esmm", "optimizer": {"learning_rte": 1}},
        {"method": "esmm", "features": {"embedding_stddev": "x"}},
        {"method": "esmm", "trunk": {"name": "mmoe", "levels": 1}},
        {"method": "esmm", "training": {"epochs": 0}},
    ],
)
def test_the_json_schema_refuses_what_editors_should_mark(broken):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, json.loads(SCHEMA.read_text()))
    with pytest.raises(ValueError, match=": "):
        Config.parse(broken)
