"""The wheel: the library with its types, nothing else at the top, and enough for the README."""

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json, idefn_tf
print(json.dumps([idefn_tf.__file__, sorted(scores), len(scores["cvr"])]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree, built by the installed setuptools without a network."""
    pytest.importorskip("wheel", reason="needs setuptools and wheel: requirements/common.in")
    folder = tmp_path_factory.mktemp("wheel")
    names = shutil.ignore_patterns(".*", "__pycache__", "build", "runs", "*.egg-info", "tests")
    shutil.copytree(ROOT, folder / "tree", ignore=names)
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", *words]
    done = subprocess.run(
        [*command, "--wheel-dir", folder, folder / "tree"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (built,) = folder.glob("idefn_tf-*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_library_alone_and_all_of_it(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    kinds = (".py", ".pyi", ".json", ".typed")
    library = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "idefn_tf").rglob("*")
        if (path.is_file() and path.suffix in kinds) or path.name == "py.typed"
    }
    assert held == library
    assert "idefn_tf/py.typed" in held
    assert "idefn_tf/transport/solvers/newton.py" in held


@pytest.mark.slow
@pytest.mark.process
def test_the_readmes_example_runs_from_the_wheel(wheel, readme_example, tmp_path):
    """In a folder of its own, with the unpacked wheel as the whole PYTHONPATH."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    (tmp_path / "example.py").write_text(readme_example + SHOW, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "unpacked")}
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()[-1]
    home = tmp_path / "unpacked" / "idefn_tf" / "__init__.py"
    assert said == f'["{home}", ["ctcvr", "ctr", "cvr"], 200]'


def test_the_readme_names_every_extra_and_no_other():
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page[page.index("## Install") : page.index("## From Python")]
    named = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert named == list(settings["options.extras_require"])
