"""The list of long sentences: what counts as one, and how long the longest may be."""

from pathlib import Path

from docs.long_sentences import sentences, words

ROOT = Path(__file__).resolve().parents[2]
PAGE = """# A heading of many words is none

One two three
four. Five [six seven](page.md#a) `code of four words`.

* An entry ends here
* and another: Begins

| a table | is none |

```
Code. Is none.
```
"""


def test_sentences_end_at_stops_entries_and_paragraphs():
    assert sentences(PAGE) == [
        "One two three four.",
        "Five [six seven](page.md#a) `code of four words`.",
        "An entry ends here",
        "and another:",
        "Begins",
    ]


def test_a_link_counts_as_it_is_shown_and_code_as_one_word():
    assert [words(sentence) for sentence in sentences(PAGE)] == [4, 4, 4, 2, 1]


def test_no_sentence_of_a_page_has_more_than_25_words():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    long = {
        f"{page.name}: {sentence}": words(sentence)
        for page in pages
        for sentence in sentences(page.read_text("utf-8"))
        if words(sentence) > 25
    }
    assert not long
