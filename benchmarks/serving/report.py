"""What the measurements of benchmarks.serving say: the aims, and a page of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from idefn_tf._files import write_text

#: The ways to call the model in process, and what they are called on the page.
WAYS = {
    "function": "TensorFlow 2 function, from and to NumPy",
    "session": "session, one array per input",
    "stacked_session": "session, like inputs stacked (as the server calls it)",
}


def targets(parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The aims that the measured parts speak of, with what was measured.

    Args:
        parts: the result's parts by name.

    Returns:
        By aim, "measured" and "met".
    """
    found: dict[str, dict[str, Any]] = {}

    def say(name: str, measured: Any, met: bool) -> None:
        found[name] = {"measured": measured, "met": bool(met)}

    columns = _found(parts, "columns")
    floor = _found(parts, "floor").get("1", {})
    one = columns.get("1 rows, 1 clients", {}).get("p50_ms")
    many = columns.get("1 rows, 16 clients", {}).get("requests_per_second")
    for way, short in (("function", "call in process"), ("stacked_session", "quickest such call")):
        if one is not None and way in floor:
            ratio = one / floor[way]["p50_ms"]
            for limit, word in ((3, "three times"), (2, "twice")):
                say(f"one row p50 at most {word} the {short}", round(ratio, 2), ratio <= limit)
    if many is not None:
        say("2,000 requests per second at 16 clients", many, many >= 2000)
    if reload := _found(parts, "reload").get("while_loading"):
        say("no failed request while versions load", reload["failed"], reload["failed"] == 0)
        say("p99 under 25 ms while versions load", reload["p99_ms"], reload["p99_ms"] < 25)
        ratio = reload["p99_ms"] / _found(parts, "reload")["undisturbed"]["p99_ms"]
        say("p99 while versions load at most twice the quiet one", round(ratio, 2), ratio <= 2)
    if memory := _found(parts, "memory"):
        name = f"less than 10 MiB more after {memory['requests']:,} requests"
        say(name, memory["grown_mib"], memory["grown_mib"] < 10)
    rival, rows = _found(parts, "kserve"), _found(parts, "rows")
    quicker = [
        cell["requests_per_second"] / rival[name]["requests_per_second"]
        for name, cell in rows.items()
        if name in rival and rival[name]["requests_per_second"]
    ]
    if quicker:
        say(
            "quicker than KServe in every cell (least factor)",
            round(min(quicker), 2),
            min(quicker) > 1,
        )
    return found


def write_page(path: Path, result: Mapping[str, Any]) -> None:
    """Writes the result as Markdown."""
    parts = result["parts"]
    machine = next(iter(parts.values()))["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [
        "# The embedded server's speed and memory",
        "",
        "Written by `python -m benchmarks.serving`; the JSON file beside holds all numbers.",
        f"Model: {result['model']}. Machine: {machine['cpu']}, {machine['cores']} cores shared by"
        f" server and load, {machine['memory_gib']} GiB, {machine['system']};"
        f" Python {machine['python']}, {versions}.",
        "",
        *_table(
            ("aim", "measured", ""),
            [
                (k, v["measured"], "met" if v["met"] else "**missed**")
                for k, v in result["targets"].items()
            ],
        ),
    ]
    for name, part in parts.items():
        lines += ["", f"## {name}", "", *_part(name, part["found"]), "", _circumstances(part)]
    write_text(path, "\n".join(lines) + "\n")


def _found(parts: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = parts.get(name, {}).get("found", {})
    return found


def _circumstances(part: Mapping[str, Any]) -> str:
    note = f" {part['note']}." if part["note"] else ""
    before, after = part["machine"]["load"][0], part["load_after"][0]
    return f"{part['seconds']:g} s a cell; load average before {before}, after {after}.{note}"


def _part(name: str, found: Mapping[str, Any]) -> list[str]:
    if name == "floor":
        rows = [
            (count, WAYS[way], *[times[f"p{q}_ms"] for q in (50, 95, 99)])
            for count, ways in found.items()
            for way, times in ways.items()
        ]
        return _table(("rows", "call in process", "p50 ms", "p95 ms", "p99 ms"), rows)
    if name == "reload":
        text = f"{found['versions']} versions were published, loaded and took over meanwhile."
        cells = {"undisturbed": found["undisturbed"], "while loading": found["while_loading"]}
        return [*_cells(cells), "", text]
    if name == "memory":
        rows = [(f"{count:,}", mib) for count, mib in found["samples"]]
        return _table(("requests", "resident MiB"), rows)
    if name == "versions":
        text = (
            f"A version more: {found['per_version_mib']} MiB; its files: {found['files_mib']} MiB. "
            f"Four of them unloaded again: {found['last_alone_mib']} MiB."
        )
        return [*_table(("versions", "resident MiB"), found["samples"]), "", text]
    return _cells(found)


def _cells(cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    head = ("load", "requests/s", "rows/s", "p50 ms", "p95 ms", "p99 ms", "failed")
    keys = ("requests_per_second", "rows_per_second", "p50_ms", "p95_ms", "p99_ms", "failed")
    return _table(
        head, [(name, *[cell.get(key, "") for key in keys]) for name, cell in cells.items()]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|---|" + "---:|" * (len(head) - 1))
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]
