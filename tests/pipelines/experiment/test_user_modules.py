"""A user's own method and backbone, those of docs/extend.md, in every job; and without them."""

import importlib.util
import pickle
import re
import sys
from pathlib import Path

import keras
import pytest
import yaml

from idefn_tf._registry import REGISTRIES
from idefn_tf.export import Scorer
from idefn_tf.export.user_modules import import_modules
from pipelines import audit, evaluate, export, report, train
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.tuning.trials import train_trial_apart, trial_config

pytestmark = pytest.mark.job

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "extend.md").read_text(encoding="utf-8")
MODULE, CONFIG = (
    re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    for language in ("python", "yaml")
)
SMALL = ["training.epochs=1", "training.batch_size=512", "training.jit_compile=false"]
SET = [word for text in [*SMALL, "backbone.units=[8]"] for word in ("--set", text)]


def forget():
    """Makes this process one that has never seen the module."""
    sys.modules.pop("shop_models", None)
    for known in REGISTRIES.values():
        for name, cls in list(known.items()):
            if cls.__module__ == "shop_models":
                del known[name]
    saved = keras.saving.get_custom_objects()
    for name in [name for name in saved if name.startswith("shop_models>")]:
        del saved[name]


@pytest.fixture(scope="module")
def shop(tmp_path_factory, simulated):
    """The folder in which the user works: data, module and config."""
    folder = tmp_path_factory.mktemp("shop")
    simulated(folder, 4000)
    (folder / "shop_models.py").write_text(MODULE, encoding="utf-8")
    (folder / "softened.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture
def here(shop, monkeypatch):
    monkeypatch.chdir(shop)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    forget()
    yield shop
    forget()


@pytest.fixture
def elsewhere(here, trained, tmp_path, monkeypatch):
    """Another working folder, in which the module is not found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(here)])
    return tmp_path


@pytest.fixture(scope="module")
def trained(shop):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shop)
        patch.setattr(sys, "path", list(sys.path))
        forget()
        words = ["--config", "softened.yaml", "--data", "data", "--out", "run", "--no-report"]
        assert train.main([*words, *SET, "--quiet"]) == 0
        forget()
    return Run(shop / "run")


def test_the_run_keeps_the_line(trained):
    saved = yaml.safe_load(trained.config_path.read_text(encoding="utf-8"))
    assert saved["imports"] == ["shop_models"]
    assert (saved["method"], saved["model"]) == ("softened_negatives", {"weight": 0.1})


def test_the_model_is_of_the_users_classes_and_options(here, trained):
    model = trained.load_model()
    assert type(model).__module__ == "shop_models"
    assert model.weight == 0.1
    assert {type(tower).__name__ for tower in model.towers.values()} == {"WideAndDeep"}
    assert {"clicked_loss", "unclicked_loss"} <= set(trained.history_path.read_text().split(","))


def test_evaluate_finds_the_module(here, trained, capsys):
    words = ["--run", "run", "--data", "data", "--json", "-", "--quiet"]
    assert evaluate.main(words) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found == {"test": yaml.safe_load(trained.metrics_path.read_text())["test"]}


def test_export_finds_the_module_and_the_version_needs_none(here, trained):
    assert export.main(["--run", "run", "--model-base", "models/cvr", "--quiet"]) == 0
    forget()
    with Scorer("models/cvr/1") as scorer:
        assert set(scorer.outputs()) == {"ctr", "cvr", "ctcvr"}


def test_report_finds_the_module(here, trained):
    assert report.main(["--run", "run", "--data", "data", "--quiet"]) == 0
    assert "softened_negatives" in (here / "run" / "report.html").read_text(encoding="utf-8")


def test_a_pickled_config_brings_its_modules_into_a_process_without_them(here):
    config = Config.load("softened.yaml", [*SMALL, "backbone.units=[8]"])
    sent = pickle.dumps(config)
    forget()
    run = train.train(pickle.loads(sent), "data", "again", Console(quiet=True), evaluate=False)
    assert type(run.load_model()).__name__ == "SoftenedNegatives"


JOBS = {
    evaluate: ["--data", "data"],
    audit: ["--data", "data"],
    export: ["--model-base", "models"],
    report: ["--data", "data"],
}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
@pytest.mark.parametrize("told", ["of imports", "of no imports"])
def test_a_class_that_is_missing_ends_every_job_in_one_sentence(
    elsewhere, trained, job, told, capsys
):
    run = elsewhere / "run"
    run.symlink_to(trained.root) if told == "of imports" else _copy(trained.root, run)
    (elsewhere / "data").symlink_to(trained.root.parent / "data")
    assert job.main(["--run", str(run), *JOBS[job], "--quiet"]) == 2
    said = capsys.readouterr().err
    if told == "of imports":
        assert "imports: must name modules that can be imported, received 'shop_models'; " in said
        assert "no module 'shop_models' in" in said
    else:
        assert "shop_models.SoftenedNegatives" in said or "'softened_negatives'" in said
        assert "imports: [module]" in said
    assert len(said) < 700


def _copy(run, path):
    """A run whose config names no module, as one trained from Python code has it."""
    import shutil

    shutil.copytree(run, path)
    config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    (path / "config.yaml").write_text(yaml.safe_dump({**config, "imports": []}), encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        (None, "no_such_module", r"no module 'no_such_module' in /.* or on PYTHONPATH"),
        (None, "shop_models.py", r"leave the ending out: shop_models$"),
        (None, "json.no_such", r"no module 'json.no_such' in"),
        (
            "import no_such",
            "broken_models",
            "ModuleNotFoundError: No module named 'no_such'",
        ),
        ("\n1 / 0", "broken_models", r"ZeroDivisionError: .*broken_models\.py:2\)$"),
        ("def", "broken_models", "SyntaxError: "),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_the_reason(
    here, tmp_path, monkeypatch, text, name, reason
):
    monkeypatch.syspath_prepend(tmp_path)
    if text is not None:
        (tmp_path / "broken_models.py").write_text(text)
    told = f"^imports: must name modules that can be imported, received '{name}'; {reason}"
    with pytest.raises(ValueError, match=told):
        import_modules([name])
    (tmp_path / "config.yaml").write_text(f"method: esmm\nimports:\n- {name}\n")
    with pytest.raises(ValueError, match=rf"config\.yaml:\d: {told[1:]}"):
        Config.load(tmp_path / "config.yaml")


@pytest.mark.parametrize("value", ["shop_models", [1], {"shop_models": None}])
def test_what_is_no_list_of_names_is_refused(value):
    with pytest.raises(ValueError, match=r"^imports"):
        Config.parse({"method": "esmm", "imports": value})


def test_the_current_directory_is_looked_into_last(here):
    assert str(here) not in sys.path
    import_modules([])
    assert str(here) not in sys.path
    import_modules(["shop_models"])
    assert sys.path[-1] == str(here)
    assert importlib.util.find_spec("shop_models").origin == str(here / "shop_models.py")


@pytest.mark.slow
@pytest.mark.process
def test_a_trial_in_a_process_of_its_own_finds_the_module(here):
    from idefn_tf.tuning import Goal
    from pipelines.preparation.prepared_folder import Prepared

    config = Config.load("softened.yaml", [*SMALL, "backbone.units=[8]"])
    goal = Goal.model_validate("all_funnel/cvr_auc")
    config = trial_config(config, {"model.weight": 0.3}, 1, goal)
    run = Run(here / "trial" / "run")
    train_trial_apart(config, Prepared.open("data"), run, None)
    assert run.load_model().weight == 0.3
