"""The page beside ``results/preparation/preparation.json``."""

from __future__ import annotations

from typing import Any


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
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines += [
        "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}; {versions}. "
        f"Load before the last run: {machine['load'][0]}.",
        "",
        f"Command: `{found['command']}`",
    ]
    return "\n".join(lines) + "\n"
