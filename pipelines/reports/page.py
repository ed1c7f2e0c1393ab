"""The page's parts as HTML: sections, tables, notes, tiles; one file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from pipelines.reports.style import STYLE_SHEET


@dataclass(frozen=True)
class Cell:
    """A table's cell.

    Attributes:
        text: what is shown.
        value: the number behind it, in full digits.
        key: where the number comes from, such as "test/clicked/cvr_auc".
        small: a second line, such as an interval.
        best: whether it stands out as the best of its row.
        prose: whether it holds sentences and needs room.
    """

    text: str
    value: float | None = None
    key: str | None = None
    small: str = ""
    best: bool = False
    prose: bool = False

    def html(self, numeric: bool) -> str:
        """Returns the cell as a <td>, to the right in columns of numbers."""
        classes = [
            name
            for name, on in (("number", numeric), ("best", self.best), ("prose", self.prose))
            if on
        ]
        attributes = f' class="{" ".join(classes)}"' if classes else ""
        if self.value is not None and math.isfinite(self.value):
            attributes += f' data-value="{self.value!r}"'
        if self.key:
            attributes += f' data-key="{escape(self.key)}"'
        small = f"<small>{escape(self.small)}</small>" if self.small else ""
        return f"<td{attributes}>{escape(self.text)}{small}</td>"


Content = str | int | float | Cell | None


@dataclass
class Section:
    """A section of the page.

    Attributes:
        anchor: its id.
        title: its heading.
        body: its HTML, part by part.
    """

    anchor: str
    title: str
    body: list[str] = field(default_factory=list)

    def text(self, *sentences: str) -> None:
        """Adds a paragraph."""
        self.body.append(f"<p>{escape(' '.join(sentences))}</p>")

    def note(self, text: str, warning: bool = False) -> None:
        """Adds a remark; a warning says so in words too."""
        label = "<strong>Careful.</strong> " if warning else ""
        kind = "note warning" if warning else "note"
        self.body.append(f'<p class="{kind}">{label}{escape(text)}</p>')

    def figures(self, drawn: Iterable[str]) -> None:
        """Adds figures side by side where there is room."""
        found = [text for text in drawn if text]
        if found:
            self.body.append('<div class="figures">' + "\n".join(found) + "</div>")

    def table(
        self, caption: str, columns: Sequence[str], rows: Iterable[Sequence[Content]]
    ) -> None:
        """Adds a table that scrolls in its own box; the first cell of a row is its heading."""
        self.body.append(table(caption, columns, rows))

    def folded(self, summary: str, html: str) -> None:
        """Adds HTML that opens on demand."""
        self.body.append(f"<details><summary>{escape(summary)}</summary>{html}</details>")

    def html(self) -> str:
        """Returns the section."""
        return (
            f'<section id="{self.anchor}" aria-labelledby="{self.anchor}-title">\n'
            f'<h2 id="{self.anchor}-title">{escape(self.title)}</h2>\n'
            + "\n".join(self.body)
            + "\n</section>"
        )


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Content]]) -> str:
    """Returns a table in a box of its own."""
    cells = [[_cell(content) for content in row] for row in rows]
    numeric = [_numeric([row[i] for row in cells]) for i in range(len(columns))]
    head = "".join(
        f'<th scope="col"{" class=number" if numeric[i] and i else ""}>{escape(name)}</th>'
        for i, name in enumerate(columns)
    )
    lines = []
    for first, *others in cells:
        small = f"<small>{escape(first.small)}</small>" if first.small else ""
        lines.append(
            f'<tr><th scope="row">{escape(first.text)}{small}</th>'
            + "".join(cell.html(numeric[i + 1]) for i, cell in enumerate(others))
            + "</tr>"
        )
    label = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>'
        f"<caption>{label}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """Returns big numbers: (name, number, small print)."""
    found = [
        f'<div class="tile"><dt>{escape(name)}</dt>'
        f"<dd>{escape(number)}<small>{escape(small)}</small></dd></div>"
        for name, number, small in entries
    ]
    return f'<dl class="tiles">{"".join(found)}</dl>'


def preformatted(text: str) -> str:
    """Returns text as it is, in a box that scrolls."""
    return f'<pre tabindex="0">{escape(text)}</pre>'


def page(title: str, lead: Sequence[str], sections: Sequence[Section], made: str) -> str:
    """Returns the whole page.

    Args:
        title: the page's name.
        lead: paragraphs of HTML below it.
        sections: in order.
        made: by what and when it was made.
    """
    links = "".join(
        f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>' for section in sections
    )
    body = "\n".join(section.html() for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE_SHEET}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header><h1>{escape(title)}</h1>
{"".join(lead)}
</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main id="main">
{body}
</main>
<footer><p>{escape(made)}</p></footer>
</body>
</html>
"""


def number(value: float | int | None, digits: int = 4) -> str:
    """Writes a number for readers: integers with commas, others with `digits` decimals."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 2) -> str:
    """Writes a share in percent."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.{digits}%}"


def _cell(content: Content) -> Cell:
    if isinstance(content, Cell):
        return content
    if isinstance(content, str):
        return Cell(content)
    return Cell(number(content), None if content is None else float(content))


def _numeric(column: Sequence[Cell]) -> bool:
    """Whether a column holds numbers, or nothing, and at least one number."""
    found = [cell for cell in column if cell.text not in ("-", "")]
    return bool(found) and all(
        cell.value is not None or cell.text.replace(",", "").replace(".", "").rstrip("%").isdigit()
        for cell in found
    )
