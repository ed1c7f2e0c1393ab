"""The page of `benchmarks.training`'s result."""

from __future__ import annotations

from typing import Any

_NAMES = {
    "idefn_tf": "idefn_tf",
    "deepctr": "DeepCTR 0.9.4 (Keras, dense Adam)",
    "torch_rechub": "torch-rechub 0.9.0, given whole batches",
    "torch_rechub_own_loader": "torch-rechub 0.9.0, its own loader",
}


def page(result: dict[str, Any]) -> str:
    """Returns the result as Markdown."""
    task = result["task"]
    lines = [
        "# Training speed",
        "",
        f"`{result['command']}`: {task['model']}, {task['fields']} fields, "
        f"{task['table_rows']:,} ids, dimension {task['dimension']}, towers {task['towers']}, "
        f"batch {task['batch']:,}, {task['optimizer']}, {task['threads']} threads. Medians of "
        "stretches of 80 batches through `fit` with its metrics on, the first left out; the two on "
        f"Keras with `steps_per_execution={task.get('keras_steps_per_execution', 1)}`.",
        "",
    ]
    if "runs" in result:
        lines += [
            "| | samples/s | ours is | step, ms | peak memory, MiB | CTR AUC | CTCVR AUC |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, run in result["runs"].items():
            times = result["times"].get(name)
            lines.append(
                f"| {_NAMES[name]} | {run['samples_per_second']:,} "
                f"| {'' if times is None else f'{times} x'} | {run['step_ms']} "
                f"| {run['peak_memory_mib']:,} | {run.get('ctr_auc', '')} "
                f"| {run.get('ctcvr_auc', '')} |"
            )
        lines += [
            "",
            f"AUC on held-out rows after the same {task['rows']:,} rows (the run with its own "
            "loader is shorter). torch-rechub has BatchNorm in its towers, and no metrics while "
            "it trains.",
            "",
        ]
    if "step_ms_by_table_rows" in result:
        lines += ["| table rows | step, ms | distinct rows a batch |", "|---|---|---|"]
        for rows, step in result["step_ms_by_table_rows"].items():
            distinct = result["distinct_rows_per_batch"][rows]
            lines.append(f"| {int(rows):,} | {step} | {distinct:,} |")
        ratio = result["step_at_4_million_rows_over_10_thousand"]
        lines += ["", f"From 10,000 to 4,000,000 rows a step takes {ratio} times as long.", ""]
    if "input" in result:
        for name, found in result["input"].items():
            lines.append(
                f"* rows {name}: {100 * found['waiting_share']:.1f} % of the time waits for input "
                f"({found['waiting_ms']} ms beside a step of {found['step_ms']} ms)"
            )
        lines.append("")
    for part, facts in result["machine"].items():
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        lines.append(
            f"{part}: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Python "
            f"{facts['python']}, {versions}; load {facts['load']}."
        )
    return "\n".join(lines) + "\n"
