"""The front door: every public name and submodule is lazy, documented, typed, and marked once."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import idefn_tf
from idefn_tf import _front_door
from idefn_tf._front_door import Mark, read_front_door, read_marks
from idefn_tf._homes import HOMES, SUBMODULES
from idefn_tf._lazy import lazy_names
from idefn_tf._registry import METHODS, REGISTRIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(HOMES))
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(idefn_tf, name)
    assert thing.__name__ == name
    assert thing.__doc__.strip()


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_submodule_is_there_and_documented(name):
    assert getattr(idefn_tf, name) is sys.modules[f"idefn_tf.{name}"]
    assert getattr(idefn_tf, name).__doc__.strip()


def test_what_configs_build_and_everyday_names_are_public():
    built = {cls for known in (METHODS, *REGISTRIES.values()) for cls in known.values()}
    ours = {cls.__name__ for cls in built if cls.__module__.startswith("idefn_tf.")}
    # methods and controls, backbones, trunks, encoders, optimizers, label likelihoods
    assert len(ours) == 19 + 3 + 2 + 4 + 3 + 11
    assert not ours - set(HOMES)
    everyday = """Schema open_dataset learn_vocabularies FeatureColumns EntireSpaceModel DCMT match
        solve SolverOptions RPOT BinaryMetrics SelectBest evaluate_spaces export_model load_model
        register"""
    assert not set(everyday.split()) - set(HOMES)
    assert set(idefn_tf.__all__) == {"__version__", *HOMES}
    assert not {*HOMES, *SUBMODULES} - set(dir(idefn_tf))


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known():
    with pytest.raises(AttributeError, match=r"no attribute 'ESMN'.*ESMM"):
        _ = idefn_tf.ESMN


def test_importing_the_package_loads_no_heavy_library():
    heavy = "{'tensorflow', 'keras', 'pandas', 'numpy', 'pyarrow', 'pydantic', 'yaml'}"
    code = f"""
import sys, idefn_tf
dir(idefn_tf), idefn_tf.__all__
assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)
assert not hasattr(idefn_tf, "no_such_name")
idefn_tf.schema, idefn_tf.Schema, idefn_tf.register
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_table_and_the_stub_agree_with_the_source(capsys):
    status = _front_door.main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


@pytest.mark.slow
def test_mypy_knows_a_type_of_every_public_name(tmp_path):
    pytest.importorskip("mypy")
    deeper = (
        "transport.match",
        "metrics.auc",
        "tuning.IdeFNHyperModel",
        "export.prune",
        "evaluation.spaces.SPACES",
    )
    lines = ["import idefn_tf", *(f"from idefn_tf import {name}" for name in (*HOMES, *SUBMODULES))]
    shown = [*HOMES, *(f"idefn_tf.{name}" for name in (*HOMES, *SUBMODULES, *deeper))]
    lines += [f"reveal_type({name})" for name in shown]
    file = tmp_path / "shown.py"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = tmp_path / "mypy.ini"
    config.write_text(
        f"[mypy]\nmypy_path = {ROOT}\nignore_missing_imports = True\nfollow_imports = silent\n"
        f"cache_dir = {tmp_path / 'cache'}\n",
        encoding="utf-8",
    )
    # apart: what it leaves would lengthen every later collection of garbage in this process
    command = [sys.executable, "-m", "mypy", "--config-file", config, file]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    told = done.stdout
    found = re.findall(r'Revealed type is "(.*)"', told)
    assert len(found) == len(shown), told + done.stderr
    kinds = dict(zip(shown, found, strict=True))
    assert not [name for name, kind in kinds.items() if kind in ("Any", "builtins.object")]
    assert {kinds[f"idefn_tf.{name}"] for name in SUBMODULES} == {"types.ModuleType"}
    assert kinds["IdeFN"] == kinds["idefn_tf.IdeFN"]
    assert kinds["IdeFN"].endswith("-> idefn_tf.models.methods.idefn.IdeFN")
    assert ": error:" not in told


# -- the generator ---------------------------------------------------------------------------------

SOURCE = """
@register("method", "softened")
class Softened: ...

@other
@register("layer", public=False)
class Inner: ...

@register("function")
def solve(): ...

@register_elsewhere("layer")
class Unmarked: ...

class Plain:
    @register("function")
    def method(self): ...
"""


def test_marks_are_read_from_the_source_text():
    assert list(read_marks(SOURCE, "shop.models")) == [
        Mark("Softened", "shop.models", "method", True),
        Mark("Inner", "shop.models", "layer", False),
        Mark("solve", "shop.models", "function", True),
    ]


def test_a_mark_whose_arguments_are_computed_is_refused():
    with pytest.raises(ValueError, match=r"shop: @register over A must have constants.*KIND"):
        list(read_marks("@register(KIND)\nclass A: ...", "shop"))


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "shop"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "_private.py").write_text('@register("layer")\nclass Helper: ...\n')
    (folder / "models" / "__init__.py").write_text("")
    (folder / "models" / "softened.py").write_text(SOURCE)
    return folder


def test_a_package_becomes_a_table(package):
    door = read_front_door(package)
    assert door.homes == {
        "Helper": "shop._private",
        "Softened": "shop.models.softened",
        "register": "idefn_tf._registry",
        "solve": "shop.models.softened",
    }
    assert door.saved == ["shop._private", "shop.models.softened"]
    assert door.submodules == ["models"]


def test_a_name_that_is_marked_twice_is_refused(package):
    (package / "other.py").write_text('@register("class")\nclass Softened: ...\n')
    told = r"Softened: must be one public name.*shop\.other and from shop\.models\.softened"
    with pytest.raises(ValueError, match=told):
        read_front_door(package)


def test_a_name_of_a_submodule_is_refused(package):
    (package / "other.py").write_text('@register("function")\ndef models(): ...\n')
    with pytest.raises(ValueError, match=r"models: must be one public name.*shop\.other"):
        read_front_door(package)


def test_a_stale_file_is_told_and_written_anew(package, monkeypatch, capsys):
    monkeypatch.setattr(_front_door, "PACKAGE", package)
    monkeypatch.setattr(_front_door.read_front_door, "__defaults__", (package,))
    assert _front_door.main(["--check"]) == 1
    assert "_homes.py and __init__.pyi must agree" in capsys.readouterr().err
    assert not (package / "_homes.py").exists()
    assert _front_door.main([]) == 0
    assert _front_door.main(["--check"]) == 0
    scope = {}
    exec((package / "_homes.py").read_text(), scope)
    assert scope["HOMES"]["solve"] == "shop.models.softened"
    (package / "models" / "softened.py").write_text("")
    assert _front_door.main(["--check"]) == 1


def test_names_of_a_package_are_imported_when_they_are_used():
    find = lazy_names("idefn_tf.schema", {"Labels": "labels"})
    assert find("Labels") is importlib.import_module("idefn_tf.schema.labels").Labels
    with pytest.raises(AttributeError, match=r"module 'idefn_tf.schema' has no attribute 'Lable'"):
        find("Lable")
