"""The documentation keeps its word: links lead somewhere, examples run, options exist."""

import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from idefn_tf.backbones import BACKBONES
from idefn_tf.models import METHODS
from idefn_tf.schema import Labels
from pipelines.experiment.config import Config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *DOCS.glob("*.md"),
        *(DOCS / "reference").glob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ]
)
BLOCK = re.compile(
    r"(?P<skip><!-- skip:[^\n]*-->\n)?^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name(path):
    return str(path.relative_to(ROOT))


def blocks(path, *languages):
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [m["text"] for m in found if m["language"] in languages and not m["skip"]]


def anchors(path):
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


# -- links -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path):
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://")):
            assert " " not in link
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{name(path)}: {link}"
        if anchor:
            assert anchor in anchors(file), f"{name(path)}: {link}"


def test_every_page_is_in_the_table_of_contents_and_there():
    class Loader(yaml.SafeLoader):
        pass

    nav = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"]

    def leaves(entries):
        for entry in entries:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else leaves(value)

    listed = set(leaves(nav))
    there = {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")}
    assert listed == there


# -- examples ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [p for p in PAGES if p.parent == DOCS and blocks(p, "python")], ids=name
)
def test_examples_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": f"docs_{path.stem.replace('-', '_')}"}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for text in blocks(path, "python"):
            exec(compile(text, name(path), "exec"), scope)
    if path.stem == "anatomy-of-a-step":
        assert printed.getvalue() == blocks(path, "text")[0]
    METHODS.pop("softened_negatives", None)  # the example classes of one page
    BACKBONES.pop("wide_and_deep", None)


@pytest.mark.job
def test_the_readmes_example_runs(readme_example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "readme"}
    exec(compile(readme_example, "README.md", "exec"), scope)
    assert set(scope["scores"]) == {"ctr", "cvr", "ctcvr"}
    assert scope["scores"]["cvr"].shape[0] == 200


@pytest.mark.parametrize(
    "text",
    # what imports a user's module is trained in tests/pipelines/experiment/test_user_modules.py
    [t for p in PAGES for t in blocks(p, "yaml") if not t.startswith(("imports:", "labels:"))],
    ids=lambda t: t.splitlines()[0],
)
def test_configs_are_configs(text):
    value = yaml.safe_load(text)
    assert Config.parse(value).method == value["method"]


def test_labels_of_a_schema_are_labels():
    found = [t for p in PAGES for t in blocks(p, "yaml") if t.startswith("labels:")]
    assert found
    for text in found:
        labels = Labels.model_validate(yaml.safe_load(text)["labels"])
        assert labels.delayed or labels.exposure_probability == "shown_p"


#: What must hold after a notebook's last cell.
HOLDS = {
    "kuairand": """
assert page.is_file() and page.is_relative_to(OUT)
assert set(numbers) == {"all_negative", "idefn"}
""",
    "own_dataframe": """
assert float(np.abs(before - after).max()) < 1e-6
assert "dwell_seconds" in schema.never_features
assert found["idefn"]["all_funnel cvr_auc"] > 0.6
""",
}


def test_every_notebook_is_run_by_the_next_test():
    assert {path.stem for path in (DOCS / "notebooks").glob("*.ipynb")} == set(HOLDS)


@pytest.mark.slow
@pytest.mark.parametrize("stem", sorted(HOLDS))
def test_notebooks_run(stem, tmp_path, monkeypatch):
    """In IPython's shell, which is what a kernel runs cells with, within this process."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: requirements/common.in")
    pytest.importorskip("IPython", reason="needs ipykernel: requirements/common.in")
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config as Settings

    monkeypatch.delenv("KUAIRAND", raising=False)  # small data, from the tests' folder
    monkeypatch.setenv("NOTEBOOK_OUT", str(tmp_path / "out"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # put back afterwards
    monkeypatch.chdir(ROOT)
    book = nbformat.read(DOCS / "notebooks" / f"{stem}.ipynb", as_version=4)
    nbformat.validate(book)
    assert all(cell.outputs == [] for cell in book.cells if cell.cell_type == "code")
    book.cells.append(nbformat.v4.new_code_cell(HOLDS[stem]))
    shell = InteractiveShell(config=Settings({"HistoryManager": {"enabled": False}}))
    for cell in book.cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source).raise_error()


# -- commands ----------------------------------------------------------------------------------


def commands():
    """Every `python -m ...` in a shell block or an untagged one, with its options."""
    for path in PAGES:
        for text in blocks(path, "sh", "bash", ""):
            joined = text.replace("\\\n", " ")
            for line in joined.splitlines():
                if line.strip().startswith("python -m "):
                    yield name(path), line.strip()


def help_of(module, words):
    """Returns what --help says, of a subcommand where there is one."""
    found = importlib.import_module(module)
    if module.startswith("benchmarks.") and hasattr(found, "__path__"):
        found = importlib.import_module(f"{module}.command")  # what its __main__ calls
    if module == "serving.server":
        from serving.server import flags

        call = flags.parse
    else:
        call = found.main
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        call([*words, "--help"])
    return out.getvalue()


SUBCOMMANDS = {"pipelines.prepare", "pipelines.schema", "serving.promote"}


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_commands_and_their_options_exist(page, line):
    words = shlex.split(line.split("#")[0].rstrip(" &"))
    module, given = words[2], words[3:]
    if "[" in line or module.startswith("pytest"):
        pytest.skip("a form, not a command")
    sub = given[:1] if module in SUBCOMMANDS else []
    said = help_of(module, sub)
    assert "usage" in said, (page, module)
    for word in given:
        if word.startswith("--"):
            option = word.split("=")[0]
            assert re.search(rf"{re.escape(option)}\b", said), f"{page}: {module} has no {option}"
        if word.startswith("pipelines/"):
            assert (ROOT / word).is_file(), f"{page}: {word}"


def test_make_targets_that_are_named_exist():
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in PAGES:
        for text in [*blocks(path, "sh", "bash", ""), path.read_text(encoding="utf-8")]:
            for target in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE):
                assert target in made, f"{name(path)}: make {target}"


# -- completeness ------------------------------------------------------------------------------


def test_the_page_on_methods_names_every_method_and_no_other():
    text = (DOCS / "choose-a-method.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {n for row in rows for n in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])}
    named |= {n for n in METHODS if f"`{n}` (" in text}
    own = {n for n, c in METHODS.items() if c.__module__.startswith("idefn_tf")}
    assert named == own


def test_questions_are_answered():
    text = (DOCS / "faq.md").read_text(encoding="utf-8")
    parts = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(parts) >= 15
    for part in parts:
        question, _, answer = part.partition("\n")
        assert len(answer.strip()) > 40, question


def test_nothing_is_loaded_from_elsewhere():
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings
    for path in DOCS.glob("*.md"):
        assert not re.search(r"!\[[^\]]*\]\(https?:", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="needs mkdocs: requirements/common.in")
    pytest.importorskip("material", reason="needs mkdocs-material")
    pytest.importorskip("mkdocstrings", reason="needs mkdocstrings[python]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    models = (tmp_path / "reference" / "models.html").read_text(encoding="utf-8")
    assert "idefn_tf.models.IdeFN" in models
    assert "S_N" in models
    results = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "AllNegative" in results
    assert "readme: results" not in results
