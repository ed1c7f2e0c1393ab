"""Lists long sentences of the pages, longest first: python -m docs.long_sentences [--words 25].

Code blocks, tables and headings are left out; a link counts as the words that are shown, code in
backticks as one word. An entry of a list is a sentence of its own.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_ENDS = re.compile(r"(?<=[.!?:;])[)*\"]*\s+(?=[A-Z`*\[(\"])")
#: Lines that are no prose: tables, headings, marks, pictures.
_NO_PROSE = ("|", "#", "<!--", "![")


def sentences(text: str) -> list[str]:
    """Returns a page's sentences, in order."""
    text = _BLOCK.sub("\n", text)
    found: list[str] = []
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        bare = line.strip()
        starts = re.match(r"([*-]|\d+\.) ", bare)
        if not bare or starts or bare.startswith(_NO_PROSE):
            found += [s for s in _ENDS.split(" ".join(paragraph)) if s]
            paragraph = []
        if starts:
            bare = bare[starts.end() :]
        if bare and not bare.startswith(_NO_PROSE):
            paragraph.append(bare)
    return found


def words(sentence: str) -> int:
    """Counts a sentence's words as a reader does."""
    shown = re.sub(r"`[^`]*`", "code", sentence)
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", shown)
    return len(re.findall(r"[^\s]*\w[^\s]*", shown))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=25, help="what a sentence may have")
    given = parser.parse_args()
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    long = [
        (words(sentence), page.relative_to(ROOT).as_posix(), sentence)
        for page in pages
        for sentence in sentences(page.read_text(encoding="utf-8"))
        if words(sentence) > given.words
    ]
    for count, page, sentence in sorted(long, reverse=True):
        sys.stdout.write(f"{count:3d}  {page}: {sentence}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
