"""The list of planted faults fits the tree: every line is there, every test too."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("planted", ROOT / "tests" / "planted_faults.py")
planted = sys.modules["planted"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(planted)


@pytest.mark.parametrize("number", range(1, len(planted.FAULTS) + 1))
def test_a_fault_has_its_line_and_its_tests(number):
    fault = planted.FAULTS[number - 1]
    assert planted.place_of(fault, ROOT) is not None, fault.line
    assert fault.line != fault.wrong
    files = [test for test in fault.tests if test.startswith("tests/")]
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in files]
    names = re.findall(r"^def (test_\w+)", "\n".join(texts), re.MULTILINE)
    words = fault.tests[-1].split(" or ") if "-k" in fault.tests else ["test_"]
    for word in words:
        assert any(word in name for name in names), f"-k {word}: names no test"


def test_a_fault_is_planted_and_the_file_comes_back(tmp_path):
    path = tmp_path / "code.py"
    path.write_text("a = 1\nb = a + 1\n")
    fault = planted.Fault("wrong sign", ("code.py",), "a + 1", "a - 1", ())
    assert planted.place_of(fault, tmp_path) == path
    with planted.planted(path, fault):
        assert path.read_text() == "a = 1\nb = a - 1\n"
    assert path.read_text() == "a = 1\nb = a + 1\n"
    assert [found.name for found in tmp_path.iterdir()] == ["code.py"]
