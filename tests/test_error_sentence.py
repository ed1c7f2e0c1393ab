"""One error sentence: ``name: must RULE, received VALUE``, and the cure."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: What the sentence replaced: "`name` must RULE. Received: VALUE. Cure."
OLD = re.compile(r"Received\b|`[^`]+` (must|needs|is needed)\b")


def texts(path):
    """Every text of a file but docstrings, pieces of an f-string put together."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values}
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner | docs:
            continue
        if isinstance(node, ast.JoinedStr):
            pieces = (p.value if isinstance(p, ast.Constant) else "x" for p in node.values)
            yield node.lineno, "".join(map(str, pieces))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("folder", ["idefn_tf", "pipelines", "serving", "benchmarks"])
def test_no_message_speaks_the_old_dialect(folder):
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in texts(path)
        if OLD.search(text)
    ]
    assert not found


def test_the_old_dialect_is_recognised(tmp_path):
    (tmp_path / "old.py").write_text(
        'f"`{name}` must hold numbers. "\nraise ValueError(f"`{name}` must be 1. " f"Received: 2.")'
    )
    assert [bool(OLD.search(text)) for _, text in texts(tmp_path / "old.py")] == [True]
