"""Figures: matplotlib's vector output, made fit to stand inside a page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from pipelines.reports.style import GRID, INK, MUTED

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small files, and readable by screen readers
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
#: Narrow enough that its text can be read on a phone.
SIZE = (4.3, 2.9)
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def draw(
    name: str,
    title: str,
    alt: str,
    paint: Callable[[Axes], None],
    *,
    note: str = "",
    size: tuple[float, float] = SIZE,
    wide: bool = False,
) -> str:
    """Draws one figure.

    Args:
        name: unique on the page; every id inside the figure begins with it.
        title: its heading.
        alt: what it shows, in words, for those who do not see it.
        paint: draws on the axes given.
        note: small print below the title.
        size: width and height in inches.
        wide: whether it takes the page's whole width.

    Returns:
        A <figure> with the title in its caption, and the drawing as inline SVG.
    """
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        paint(axes)
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})
    svg = _inline(stream.getvalue(), name, title, alt)
    small = f" {escape(note)}" if note else ""
    kind = ' class="wide"' if wide else ""
    return (
        f'<figure id="{name}"{kind}><figcaption><strong>{escape(title)}</strong>{small}'
        f"</figcaption>\n{svg}</figure>"
    )


def _inline(text: str, name: str, title: str, alt: str) -> str:
    """Strips what only a file of its own needs, and gives ids that are unique on the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<style type="text/css">.*?</style>', "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r"'DejaVu Sans'(, sans-serif)?", _FONTS, text)
    box = re.search(r'viewBox="[^"]*"', text)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box.group(0) if box else ""} role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(alt)}</desc>'
    )
    return re.sub(r"^<svg[^>]*>", lambda match: head, text)
