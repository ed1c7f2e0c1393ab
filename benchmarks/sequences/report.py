"""The page of `benchmarks.sequences`' result."""

from __future__ import annotations

from typing import Any

_NAMES = {
    "idefn_tf": "idefn_tf, `din`",
    "idefn_tf_target_attention": "idefn_tf, `target_attention`",
    "deepctr": "DeepCTR 0.9.4, DIN (Keras 2, dense Adam)",
    "torch_rechub": "torch-rechub 0.9.0, DIN, given whole batches",
}
_HEAD = "samples/s | step, ms | fastest stretch's, ms | processor, ms | peak memory, MiB | CTR AUC"


def page(result: dict[str, Any]) -> str:
    """Returns the result as Markdown."""
    task = result["task"]
    lines = [
        "# Behaviour sequences: training speed",
        "",
        f"`{result['command']}`: {task['ids']:,} ids, dimension {task['dimension']}, histories of "
        f"at most {task['length']} events and {task['mean_events']} in the mean, activation unit "
        f"{task['units']}, towers {task['towers']}, batch {task['batch']:,}, {task['optimizer']}, "
        f"{task['threads']} threads, seed {task['seed']}. Medians of stretches of batches through "
        "`fit`, the first left out, and over rounds. Processor: seconds that all threads computed, "
        "which other work on the machine hardly moves.",
        "",
    ]
    if "libraries" in result:
        found = result["libraries"]
        lines += _table(found["runs"], _NAMES)
        for clock, of in found["times"].items():
            said = [
                f"{_NAMES[name]} {times} x {_NAMES[rival].partition(',')[0]}"
                for name, by in of.items()
                for rival, times in by.items()
            ]
            lines += [f"By the {clock}'s clock: {', '.join(said)}.", ""]
        lines += [
            f"CTR AUC on held-out rows after the same {task['rows']:,} rows. Ours trains two "
            "towers, the others one; torch-rechub has BatchNorm, and no metrics while it trains.",
            "",
        ]
    if "encoders" in result:
        lines += _table(result["encoders"], {})
    if "lengths" in result:
        found = result["lengths"]
        lines += _table(found["runs"], {name: f"K = {name}" for name in found["runs"]})
        ratio = found["longest_over_shortest"]
        lines += [
            f"The longest over the shortest: step {ratio['step_ms']}, fastest stretch's step "
            f"{ratio['best_step_ms']}, processor {ratio['cpu_ms']}.",
            "",
        ]
    for part, facts in result["machine"].items():
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        lines.append(
            f"{part}: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Python "
            f"{facts['python']}, {versions}; load {facts['load']}."
        )
    return "\n".join(lines) + "\n"


def _table(runs: dict[str, Any], names: dict[str, str]) -> list[str]:
    lines = [f"| | {_HEAD} |", "|---|---|---|---|---|---|---|"]
    for name, run in runs.items():
        lines.append(
            f"| {names.get(name, f'`{name}`')} | {round(run['samples_per_second']):,} "
            f"| {run['step_ms']} | {run['best_step_ms']} | {run['cpu_ms']} "
            f"| {round(run['peak_memory_mib']):,} | {run.get('ctr_auc', '')} |"
        )
    return [*lines, ""]
