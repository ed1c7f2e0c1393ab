"""Colours and style sheet of the page.

The colours are told apart with every common colour blindness and stand out from white by 3:1 or
more (4.5:1 where they colour text); no meaning rests on colour alone: lines also differ in dash and
marker, areas in hatching or in words.
"""

from __future__ import annotations

#: For lines, bars and points, in order of use.
PALETTE = ("#0072B2", "#D55E00", "#00785A", "#AA3377", "#5A5A5A", "#8A6D00")
#: One dash per colour.
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)))
#: One marker per colour.
MARKERS = ("o", "s", "^", "D", "v", "P")
#: Text and axes, muted text, grid.
INK, MUTED, GRID = "#1B1F24", "#57606A", "#D8DEE4"
#: From nothing to everything, for heat maps: lightness falls evenly.
RAMP = ("#FFFFFF", "#D6E6F4", "#9CC7E3", "#4F96C4", "#1B5F97", "#08306B")

STYLE_SHEET = """
:root { color-scheme: light; --ink: #1b1f24; --muted: #57606a; --line: #d0d7de; --soft: #f6f8fa;
  --link: #0b57a0; --good: #0a6640; --warn: #8a4b00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: #fff; line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header, main, footer, nav { max-width: 1240px; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p { max-width: 75ch; margin: .5rem 0; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link);
  outline-offset: 2px; }
.muted { color: var(--muted); }
.skip { position: absolute; left: -999px; } .skip:focus { left: 1rem; top: .5rem; }
nav ul { list-style: none; margin: 1rem 0 0; padding: .6rem 0; display: flex; flex-wrap: wrap;
  gap: .25rem 1rem; border-block: 1px solid var(--line); font-size: .93rem; }
section { padding: 1.6rem 0 .6rem; border-bottom: 1px solid var(--line); }
section:last-child { border-bottom: 0; }
.tiles { display: grid; gap: .75rem; margin: 1rem 0; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; margin: 0; }
.tile dt { font-size: .85rem; color: var(--muted); }
.tile dd { margin: 0; font-size: 1.45rem; font-variant-numeric: tabular-nums; }
.tile dd small { display: block; font-size: .8rem; color: var(--muted); }
.figures { display: grid; gap: 1rem 1.5rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
figure { margin: 0; min-width: 0; max-width: 560px; break-inside: avoid; }
figure.wide { max-width: 820px; grid-column: 1 / -1; overflow-x: auto; }
figure.wide svg { min-width: 600px; }
figure svg { display: block; width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption { margin-bottom: .25rem; font-size: .9rem; color: var(--muted); }
figcaption strong { display: block; color: var(--ink); font-size: .98rem; }
.scroll { overflow-x: auto; margin: .75rem 0; border: 1px solid var(--line); border-radius: 8px;
  background: linear-gradient(to left, #fff 30%, transparent) right / 40px 100% no-repeat local,
    linear-gradient(to left, rgb(27 31 36 / 22%), transparent) right / 12px 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .88rem; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .5rem .7rem; }
th, td { text-align: left; padding: .3rem .7rem; border-top: 1px solid var(--line);
  vertical-align: top; }
thead th { background: rgb(208 215 222 / 35%); vertical-align: bottom; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
td small, th small { color: var(--muted); display: block; font-weight: 400; }
tbody th small { white-space: normal; min-width: 14ch; }
td.best { font-weight: 700; }
tbody th { font-weight: 600; white-space: nowrap; position: sticky; left: 0; background: #fff; }
td.prose { min-width: 20rem; }
.note { border-left: 4px solid var(--line); padding: .3rem .9rem; margin: .75rem 0;
  background: var(--soft); max-width: 80ch; }
.note.warning { border-color: #d55e00; }
.note strong { color: var(--warn); }
.tag { display: inline-block; font-size: .75rem; border: 1px solid var(--line); padding: 0 .4rem;
  border-radius: 999px; color: var(--muted); white-space: nowrap; }
details { margin: .75rem 0; } summary { cursor: pointer; color: var(--link); }
pre { overflow-x: auto; background: var(--soft); border: 1px solid var(--line); padding: .7rem;
  border-radius: 8px; font-size: .85rem; line-height: 1.4; }
footer { padding-block: 1.5rem; color: var(--muted); font-size: .88rem; }
@media (min-width: 900px) { thead th { min-width: 4.5rem; } td, th { padding: .3rem .55rem; }
  table { font-size: .85rem; } }
@media (max-width: 480px) { tbody th { white-space: normal; min-width: 6.5rem; max-width: 9.5rem;
    overflow-wrap: break-word; } td, th { padding: .3rem .5rem; }
  h1 { font-size: 1.35rem; } .tile dd { font-size: 1.2rem; } }
@media print { nav, .skip { display: none; } body { font-size: 11pt; } section { padding: 1rem 0; }
  .scroll { overflow: visible; } .figures { grid-template-columns: 1fr 1fr; }
  a { color: inherit; text-decoration: none; } }
"""
