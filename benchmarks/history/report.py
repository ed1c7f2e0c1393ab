"""The page beside ``results/history/history.json``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.common.machine import machine_sentence


def as_markdown(found: dict[str, Any]) -> str:
    """Writes the measurements as tables, and the machine.

    Args:
        found: the result file's content.
    """
    lines = [
        "# What history costs in preparation",
        "",
        "Simulated exposures, prepared by `python -m pipelines.prepare simulated-funnel` without "
        "history and with five aggregates over three windows of four keys (60 numbers a row) and "
        "the last 50 clicks; no row is lost and sampled rows hold what a loop counts before a time "
        "is kept. Load: running processes when a run began, on the machine's cores.",
        "",
        "| rows | history | seconds | processor seconds | memory, GiB | prepared, GiB | load |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in found["runs"]:
        for name in (name for name in ("before", "without", "with") if name in run):
            one = run[name]
            cells = (
                f"{run['rows']:,}",
                f"without, at {one['release']}" if name == "before" else name,
                f"{one['seconds']:,}",
                f"{one['processor_seconds']:,}",
                f"{one['peak_memory_gib']:.2f}",
                f"{one['prepared_bytes'] / 2**30:.3f}",
                f"{one['load']:g}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    times = ", ".join(f"{run['times']:g} at {run['rows']:,}" for run in found["runs"])
    used = ", ".join(
        f"{run['with']['processor_seconds'] / run['without']['processor_seconds']:.2f}"
        for run in found["runs"]
    )
    lines += ["", f"With history over without, by the clock: {times}; in processor time: {used}."]
    lines += [
        "",
        *(
            f"At {run['rows']:,} rows with history over {run['before']['release']} without: "
            f"{_over_before(run, 'seconds'):.2f} by the clock, "
            f"{_over_before(run, 'processor_seconds'):.2f} in processor time; the aim is at most 2."
            for run in found["runs"]
            if "before" in run
        ),
    ]
    lines += _rivals(found.get("rivals"))
    if "machine" in found:
        lines += ["", machine_sentence(found["machine"])]
    lines += ["", f"Command: `{found['command']}`"]
    return "\n".join(lines) + "\n"


def _over_before(run: dict[str, Any], measure: str) -> float:
    return float(run["with"][measure] / run["before"][measure])


def _rivals(found: dict[str, Any] | None) -> Iterator[str]:
    if not found:
        return
    yield ""
    yield "## Beside other libraries"
    yield ""
    yield (
        f"Clicks and exposures of a user in {', '.join(found['windows'])} before each of "
        f"{found['rows']:,} exposures; {found['tied']:,} of them share user and time with another. "
        "`wrong` counts rows whose number differs from a loop's, which sees what came strictly "
        "before the row."
    )
    yield ""
    yield "| library | seconds | wrong | how |"
    yield "|---|---|---|---|"
    for run in found["runs"]:
        yield f"| {run['name']} | {run['seconds']:.4f} | {run['wrong']:,} | {run['how']} |"
