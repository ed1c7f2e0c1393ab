"""What the pages take from elsewhere: the README's results, and the pages of every experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_README = "<!-- readme: results -->"
_LIST = "<!-- results: list -->"
_START, _END = "<!-- results:start -->", "<!-- results:end -->"


def on_files(files: Files, config: Any) -> Files:
    """Adds the experiments' pages, with the pictures and rows that they link to."""
    for path in sorted(RESULTS.rglob("*")):
        if path.suffix in (".md", ".png", ".svg", ".json"):
            name = f"experiments/{path.relative_to(RESULTS).as_posix()}"
            files.append(File.generated(config, name, content=path.read_bytes()))
    about = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    about = about.replace("](results/", "](").replace("](../docs/", "](../")
    files.append(File.generated(config, "experiments/about.md", content=about))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Fills in the results; links into the repository's results hold here, too."""
    markdown = markdown.replace("](../benchmarks/results/", "](experiments/")
    if _README in markdown:
        markdown = markdown.replace(_README, readme_results())
    if _LIST in markdown:
        markdown = markdown.replace(_LIST, experiments())
    return markdown


def readme_results() -> str:
    """Returns what the README says between its marks, with links that hold here."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = text[text.index(_START) + len(_START) : text.index(_END)].strip()
    found = found.replace("](benchmarks/results/", "](experiments/")
    return found.replace("](benchmarks/README.md", "](experiments/about.md") or "No results yet."


def experiments() -> str:
    """Returns a list of links to the experiments' pages."""
    lines = ["* [How the experiments are run](experiments/about.md)"]
    for path in sorted(RESULTS.rglob("*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"* [{title}](experiments/{path.relative_to(RESULTS).as_posix()})")
    return "\n".join(lines)
