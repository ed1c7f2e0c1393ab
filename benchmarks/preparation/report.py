"""The page beside ``results/preparation/preparation.json``."""

from __future__ import annotations

from typing import Any

from benchmarks.common.machine import machine_sentence


def as_markdown(found: dict[str, Any]) -> str:
    """Writes the measurements as a table, what they let expect, and the machine.

    Args:
        found: the result file's content.
    """
    lines = [
        "# Preparation at size",
        "",
        "Made Ali-CCP files in the raw four-file format, prepared by `python -m pipelines.prepare "
        "ali-ccp`; every row, click, conversion and probe is counted before a time is kept.",
        "",
        "| rows | engine | threads | seconds | rows/s | memory, GiB | disk, GiB | raw files, GiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in found["runs"]:
        cells = (
            f"{run['rows']:,}",
            run["engine"],
            str(run["threads"]),
            f"{run['seconds']:,}",
            f"{run['rows_per_second']:,}",
            f"{run['peak_memory_gib']:.2f}",
            f"{run['peak_disk_gib']:.2f}",
            f"{run['raw_bytes'] / 2**30:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    expected = found.get("extrapolated")
    if expected:
        low, high = expected["from_rows"]
        lines += [
            "",
            f"Not measured, but expected on a line through {low:,} and {high:,} rows: "
            f"{expected['rows']:,} rows in about {expected['seconds'] / 60:.0f} minutes "
            f"({expected['rows_per_second']:,} rows/s). {expected['note'].capitalize()}.",
        ]
    lines += _beside(found)
    machine = found["machine"]
    lines += [
        "",
        f"{machine_sentence(machine)} Load before the last run: {machine['load'][0]}.",
        "",
        f"Command: `{found['command']}`",
    ]
    return "\n".join(lines) + "\n"


def _beside(found: dict[str, Any]) -> list[str]:
    """Writes the comparisons with earlier releases, and where the time goes."""
    runs = found.get("side_by_side", ())
    if not runs:
        return []
    lines = [
        "",
        "## Beside earlier releases",
        "",
        "The same raw files, prepared in turns, so that whatever else the machine does reaches "
        "all. Seconds are medians, and ratios are medians of those within a round. Command: "
        "`python -m benchmarks.preparation --before CHECKOUT ... --millions .4 4 --kuairand DATA`.",
        "",
        "| data set | rows | release | seconds | processor seconds | memory, GiB "
        "| now: rows/s over it | now: rows a processor second over it | now: memory over it |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        for name, took in run["releases"].items():
            ratios = run["now_over"].get(name, {})
            shown = [run["data_set"], f"{run['rows']:,}", name]
            shown += [f"{took['seconds']:,.1f}", f"{took['processor_seconds']:,.1f}"]
            shown.append(f"{took['peak_memory_gib']:.2f}")
            keys = ("rows_per_second", "rows_per_processor_second", "memory")
            shown += [f"{ratios[key]:.2f}" if ratios else "" for key in keys]
            lines.append(f"| {' | '.join(shown)} |")
    lines += ["", "## Where the time goes", "", "Seconds of the processor, one run each.", ""]
    names = list(dict.fromkeys(name for run in runs for name in run["releases"]))
    columns = [(run, name) for run in runs for name in names if name in run["releases"]]
    heads = [f"{run['data_set']} {run['rows']:,}: {name}" for run, name in columns]
    lines += [f"| stage | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for stage in runs[0]["processor_seconds_by_stage"][names[-1]]:
        cells = [f"{run['processor_seconds_by_stage'][n][stage]:.1f}" for run, n in columns]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    machine = found["machine_of_side_by_side"]
    loads = ", ".join(str(run["load_at_the_start"][0]) for run in runs)
    lines += ["", f"{machine['cpu']}, {machine['cores']} cores; load at the start {loads}."]
    if found.get("note"):
        lines += ["", found["note"]]
    return lines
