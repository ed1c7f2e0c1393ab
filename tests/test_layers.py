"""Layers: imports go one way, between files, between packages, between folders."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: The library's packages from the ground up: each imports from those before it.
LAYERS = (
    ("_files", "_graph_form", "_homes", "_keras_private", "_lazy", "_rules", "_tensorflow_private"),
    ("_checks", "_options", "_schedule", "_shared_programs", "_types"),
    ("_registry",),
    ("_front_door", "losses", "rates", "saving"),
    ("schema",),
    ("data",),
    ("history",),
    ("tables",),
    ("encoders",),
    ("features",),
    ("backbones", "metrics", "optimizers", "transport"),
    ("models",),
    ("evaluation",),
    ("calibration", "callbacks", "tensorboard", "tuning"),
    ("export",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
#: Imports against the rule, each with its reason.
ALLOWED = {
    ("pipelines.run", "serving.client"): "the whole way ends in one request",
    ("serving.skew", "pipelines.cli"): "prints its tables as the jobs do",
}


def modules():
    """{dotted name: path} of every source file."""
    found = {}
    for package in ("idefn_tf", "pipelines", "serving"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


EVERY = modules()


def imports(name):
    """The project's modules that one imports, also under TYPE_CHECKING and inside functions."""
    found = set()
    for node in ast.walk(ast.parse(EVERY[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: relative import"
            asked = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            asked = [alias.name for alias in node.names]
        else:
            continue
        for target in asked:
            while target and target not in EVERY:
                target = target.rpartition(".")[0]
            if target and target != name:
                found.add(target)
    return found


GRAPH = {name: imports(name) for name in EVERY}


def no_circle(graph):
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def allowed(name, target):
    return any(
        (name + ".").startswith(a + ".") and (target + ".").startswith(b + ".") for a, b in ALLOWED
    )


def room(name, depth):
    return ".".join(name.split(".")[:depth])


def test_no_circle_between_files():
    no_circle(GRAPH)


@pytest.mark.parametrize("depth", [2, 3])
def test_no_circle_between_packages(depth):
    """Folders by their first two or three names; a package's __init__ belongs to it."""
    graph = defaultdict(set)
    for name, targets in GRAPH.items():
        for target in targets:
            a, b = room(name, depth), room(target, depth)
            inside = b == room(name, depth - 1) or a == room(target, depth - 1)
            if a != b and not inside and not allowed(name, target):
                graph[a].add(b)
    no_circle(graph)


def test_the_librarys_rooms_import_from_those_below_them():
    wrong = []
    for name, targets in GRAPH.items():
        own = name.split(".")[1:2]
        if not name.startswith("idefn_tf.") or not own:
            continue
        for target in targets:
            other = target.split(".")[1:2]
            if not target.startswith("idefn_tf"):
                wrong.append(f"{name} -> {target}: the library imports nothing from other folders")
            elif other and other != own and LEVEL[other[0]] >= LEVEL[own[0]]:
                same = LEVEL[other[0]] == LEVEL[own[0]]
                if not same or own[0] not in ("calibration", "callbacks", "tensorboard", "tuning"):
                    wrong.append(f"{name} -> {target}")
    assert not wrong


def test_jobs_and_servers_import_the_library_and_little_of_each_other():
    wrong = [
        f"{name} -> {target}"
        for name, targets in GRAPH.items()
        for target in targets
        if (
            (name.startswith("serving") and target.startswith("pipelines"))
            or (name.startswith("pipelines") and target.startswith("serving"))
        )
        and not target.startswith("serving.common")
        and not allowed(name, target)
    ]
    assert not wrong


@pytest.mark.parametrize("folder", ["pipelines", "serving"])
def test_every_module_at_the_top_is_a_command(folder):
    for path in (ROOT / folder).glob("*.py"):
        if path.name != "__init__.py":
            assert '__name__ == "__main__"' in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("package", ["idefn_tf", "pipelines", "serving"])
def test_a_basename_stands_once_in_a_package(package):
    places = defaultdict(list)
    for path in (ROOT / package).rglob("*.py"):
        if path.name not in ("__init__.py", "__main__.py"):
            places[path.name].append(str(path.relative_to(ROOT)))
    assert not {name: found for name, found in places.items() if len(found) > 1}


@pytest.mark.parametrize("folder", ["idefn_tf", "pipelines", "serving", "benchmarks", "tests"])
def test_a_file_holds_one_idea(folder):
    """Past 320 lines it holds two: give the other one a file of its own."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for ending in ("*.py", "*.pyi")
        for path in (ROOT / folder).rglob(ending)
    }
    assert len(lengths) > 10
    assert not {path: lines for path, lines in lengths.items() if lines > 320}
