"""Every public class and function shows itself: an `Example:` that runs as it stands."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import idefn_tf

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "data.md"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
#: Registries: what an example adds to one is taken out again.
ADDED = ("twice_negative",)


def public():
    """{"package.name": object} of the classes and functions that packages export."""
    found = {}
    for module in pkgutil.iter_modules(idefn_tf.__path__):
        if module.ispkg:
            package = importlib.import_module(f"idefn_tf.{module.name}")
            for name in getattr(package, "__all__", ()):
                value = getattr(package, name)
                if inspect.isclass(value) or inspect.isfunction(value):
                    found[f"{module.name}.{name}"] = value
    return found


PUBLIC = public()


def examples(name, value):
    text = inspect.cleandoc(value.__doc__ or "")
    shown = re.search(r"^Example:\n((?: {4}.*\n?|\n)+)", text, re.MULTILINE)
    return doctest.DocTestParser().get_doctest(shown[1] if shown else "", {}, name, None, None)


@pytest.fixture(scope="module")
def names():
    """What the page says that examples use: its code, run once for all of them."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    scope = {"__name__": "examples"}
    exec(compile(code, str(PAGE), "exec"), scope)
    return scope


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_example_runs_and_shows_what_it_says(name, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = examples(name, PUBLIC[name])
    assert test.examples, f"{name}: its docstring needs an `Example:`"
    assert any(example.want for example in test.examples), f"{name}: its example shows nothing"
    test.globs = dict(names)
    said = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    for added in ADDED:
        idefn_tf.models.METHODS.pop(added, None)
    assert result.failed == 0, "".join(said)


def test_packages_export_what_they_should():
    assert len(PUBLIC) >= 120
    assert "models.IdeFN" in PUBLIC
    assert "transport.match" in PUBLIC
