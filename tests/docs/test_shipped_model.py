"""README, pages and `pipelines.run` agree on the model to ship, and say it in the right order."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from idefn_tf.models import get_method
from pipelines.run import SERVED

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def page(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_the_first_examples_train_what_the_demo_serves():
    made = get_method(SERVED).__name__
    assert f"Which model to ship: {made}" in README
    for text in (README, page("getting-started")):
        first = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
        assert f"model = {made}(" in first


@pytest.mark.parametrize(
    ("text", "words"), [(README, "## The steps one by one"), (page("your-own-data"), "# Your own")]
)
def test_a_client_reads_the_schema_of_the_model_that_is_served(text, words):
    section = text[text.index(words) :]
    schema = re.search(r"serving\.client +.* --schema \S*/(\w+)/schema\.yaml", section)[1]
    exported = set(re.findall(r"pipelines\.export +--run \S*/(\w+)", section))
    assert schema == SERVED
    assert exported == {SERVED}


def test_numbers_come_after_the_places():
    titles = re.findall(r"^## (.*)$", README, re.MULTILINE)
    assert titles.index("Where things are") < titles.index("Results") < titles.index("Speed")


def test_an_example_that_turns_xla_off_says_why():
    found = []
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for code in re.findall(r"^```python\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S):
            lines = ["", *code.splitlines()]
            for above, line in pairwise(lines):
                if "jit_compile=False" in line:
                    found.append((path.stem, "#" in above + line))
    assert sorted(found) == [("anatomy-of-a-step", True), ("tune", True)]
    for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        assert "jit_compile=False" not in path.read_text(encoding="utf-8")
